/* Assembler macros that add rows of an int8 table to 16 channels of one output: two at a time, or one.
 *
 * A row's address is one load from r0 plus an immediate offset, its 16 bytes lie at another immediate offset from there.
 * Code that includes this defines the macro `locate`, which sets at_map and at_table for a row's number. Rows that are
 * added in pairs by SADD8 must be proven never to leave int8. 25 cycles for a pair (32 results), 14 for a single row.
 *
 * Registers: r0 where addresses are, r1 and r2 addresses, r3, r12 and lr words, r4 to r11 sums (ost_reuse_pack_asm.h's
 * order). */
#ifndef OST_REUSE_ADD_ROWS_ASM_H
#define OST_REUSE_ADD_ROWS_ASM_H

    .syntax unified
    .thumb

    .macro  add_table_word even, odd, word
    sxtab16 \even, \even, \word
    sxtab16 \odd, \odd, \word, ror #8
    .endm

/* The address that `locate` found. */
    .macro  load_address to
    .if at_map <= 4095
    ldr.w   \to, [r0, #at_map]
    .else
    movw    \to, #at_map
    ldr.w   \to, [r0, \to]
    .endif
    .endm

/* The address of row \next to \at; none if it is negative. */
    .macro  load_next at, next
    .if \next >= 0
    locate  \next
    load_address \at
    .endif
    .endm

/* Rows \even, whose address is in r1, and \odd; then r1 is the address of row \next. */
    .macro  two_rows even, odd, next
    locate  \even
    .set    first, at_table
    locate  \odd
    .set    second, at_table
    load_address r2
    ldr.w   r3, [r1, #first]
    ldr.w   lr, [r1, #(first + 4)]
    ldr.w   r12, [r2, #second]
    sadd8   r3, r3, r12
    add_table_word r4, r5, r3
    ldr.w   r3, [r2, #(second + 4)]
    ldr.w   r12, [r1, #(first + 8)]
    sadd8   lr, lr, r3
    add_table_word r6, r7, lr
    ldr.w   r3, [r2, #(second + 8)]
    ldr.w   lr, [r1, #(first + 12)]
    ldr.w   r2, [r2, #(second + 12)]
    load_next r1, \next
    sadd8   r12, r12, r3
    add_table_word r8, r9, r12
    sadd8   lr, lr, r2
    add_table_word r10, r11, lr
    .endm

/* Row \row, whose address is in \at; then \other is the address of row \next. */
    .macro  one_row row, at, other, next
    locate  \row
    .set    first, at_table
    ldr.w   r3, [\at, #first]
    ldr.w   r12, [\at, #(first + 4)]
    ldr.w   lr, [\at, #(first + 8)]
    load_next \other, \next
    ldr.w   \at, [\at, #(first + 12)]
    add_table_word r4, r5, r3
    add_table_word r6, r7, r12
    add_table_word r8, r9, lr
    add_table_word r10, r11, \at
    .endm

#endif /* OST_REUSE_ADD_ROWS_ASM_H */
