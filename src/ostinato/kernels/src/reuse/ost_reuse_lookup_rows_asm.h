/* Assembler macro of ost_reuse_lookup_rows_<H>(const ost_lookup_rows *rows) and ost_reuse_lookup_pairs_<H>: int8 table
 * rows of 16 channels added to 8 int16 x 2 accumulators. Each H has a file of its own, for firmware to link what it needs.
 *
 * The ids of two rows are one load; UXTAB (UXTAH) makes addresses of them. `pairs` adds the two rows by SADD8 before
 * they are widened: 27 cycles for two rows (32 results), 30 without. The last load of a pair fetches the next ids, so
 * up to 4 bytes behind the ids are read. 4, 8 or 16 pairs are unrolled, the first pass enters behind the pairs it does
 * not have, and an odd last row follows them. */

#ifndef OST_REUSE_LOOKUP_ROWS_ASM_H
#define OST_REUSE_LOOKUP_ROWS_ASM_H

    .syntax unified
    .thumb

#include "ost_reuse_pack_asm.h"

/* ost_lookup_rows */
    .equ    P_IDS, 0
    .equ    P_ROWS, 4
    .equ    P_TABLE, 8
    .equ    P_OFFSET, 12
    .equ    P_OUT, 16
    .equ    P_TILES, 20
    .equ    P_BITS, 24

/* The stack frame. */
    .equ    F_END, 0            /* of the ids, as the loop sees it */
    .equ    F_IDS, 4
    .equ    F_ENTRY, 8
    .equ    F_EARLY, 12         /* bytes of table that the first pass starts early */
    .equ    F_OFFSET, 16
    .equ    F_OUT, 20
    .equ    F_TILES, 24
    .equ    F_AFTER, 28         /* where the loop is left to: an odd last row, or saturation */
    .equ    F_BITS, 32
    .equ    F_SATURATE, 36
    .equ    F_BYTES, 48

/* r2 = ids of two rows; r2, r3: addresses of the rows, \stride of the second not yet added. */
    .macro  addresses narrow
    .if \narrow
    uxtab   r3, r1, r2, ror #8
    uxtab   r2, r1, r2
    .else
    uxtah   r3, r1, r2, ror #16
    uxtah   r2, r1, r2
    .endif
    .endm

    .macro  next_ids narrow
    .if \narrow
    ldrh.w  r2, [r0], #2
    .else
    ldr.w   r2, [r0], #4
    .endif
    .endm

/* One word of a row to two accumulators. */
    .macro  add_word even, odd, word
    sxtab16 \even, \even, \word
    sxtab16 \odd, \odd, \word, ror #8
    .endm

    .macro  add_words even, odd
    sadd8   r12, r12, lr
    add_word \even, \odd, r12
    .endm

/* Rows at r2 + \first and r3 + \second; afterwards r1 has advanced by \advance and r2, r3 are the next ones. r3 was
 * computed first, so it is used first; a row's last word takes the place of its address. */
    .macro  pair_of_rows first, second, advance, narrow, paired
    .if \paired
    ldr.w   lr, [r3, #(\second)]
    ldr.w   r12, [r2, #(\first)]
    add_words r4, r5
    ldr.w   r12, [r2, #(\first + 4)]
    ldr.w   lr, [r3, #(\second + 4)]
    add_words r6, r7
    ldr.w   r12, [r2, #(\first + 8)]
    ldr.w   lr, [r3, #(\second + 8)]
    add_words r8, r9
    ldr.w   r12, [r2, #(\first + 12)]
    ldr.w   lr, [r3, #(\second + 12)]
    next_ids \narrow
    .if \advance
    add.w   r1, r1, #(\advance)
    .endif
    add_words r10, r11
    .else
    ldr.w   r12, [r3, #(\second)]
    ldr.w   lr, [r3, #(\second + 4)]
    add_word r4, r5, r12
    add_word r6, r7, lr
    ldr.w   r12, [r3, #(\second + 8)]
    ldr.w   r3, [r3, #(\second + 12)]
    ldr.w   lr, [r2, #(\first)]
    add_word r8, r9, r12
    add_word r10, r11, r3
    add_word r4, r5, lr
    ldr.w   r12, [r2, #(\first + 4)]
    ldr.w   lr, [r2, #(\first + 8)]
    ldr.w   r3, [r2, #(\first + 12)]
    next_ids \narrow
    .if \advance
    add.w   r1, r1, #(\advance)
    .endif
    add_word r6, r7, r12
    add_word r8, r9, lr
    add_word r10, r11, r3
    .endif
    addresses \narrow
    .endm

/* Up to H = 5 the rows of `reach` pairs are within immediate offsets, and r1 advances behind the last of them; above,
 * it advances with every pair. */
    .macro  block_of_pairs hashes, count, reach, narrow, paired
    .set    stride, 16 << \hashes
    .set    row, 0
    .rept   \count
    .if \hashes > 5
    pair_of_rows 0, (stride & 4095), (2 * stride), \narrow, \paired
    .if stride > 4095
    add.w   r3, r3, #4096
    .endif
    .else
    .if row == 2 * \reach - 2
    pair_of_rows (row * stride), (row * stride + stride), (2 * \reach * stride), \narrow, \paired
    .set    row, -2
    .else
    pair_of_rows (row * stride), (row * stride + stride), 0, \narrow, \paired
    .endif
    .endif
    .set    row, row + 2
    .endr
    .endm

/* count: pairs in a block; reach: see above, less than count only if it is 8; both are powers of two. */
    .macro  lookup_rows name, hashes, count, reach, narrow, paired
    .set    stride, 16 << \hashes
    .set    pair_bytes, 4 * (27 - 4 * \paired)
    .if \hashes > 5
    .set    pair_bytes, pair_bytes + 4
    .endif
    .if stride > 4095
    .set    pair_bytes, pair_bytes + 4
    .endif
    .section .text.\name, "ax", %progbits
    .global \name
    .type   \name, %function
    .thumb_func
    .p2align 3
\name:
    push    {r4-r11, lr}
    sub     sp, sp, #F_BYTES
    ldmia   r0, {r1-r7}                 /* ids, rows, table, offset, out, tiles, fraction bits */
    str     r1, [sp, #F_IDS]
    str     r4, [sp, #F_OFFSET]
    str     r5, [sp, #F_OUT]
    str     r6, [sp, #F_TILES]
    str     r7, [sp, #F_BITS]
    saturate_entry r11, r7, r12, 5f
    str.w   r11, [sp, #F_SATURATE]
    adr.w   r12, 4f
    orr     r12, r12, #1                /* Thumb */
    lsrs    r2, r2, #1                  /* pairs */
    it      cs
    movcs   r11, r12
    str.w   r11, [sp, #F_AFTER]
    add.w   r1, r1, r2, lsl #(2 - \narrow)
    add.w   r1, r1, #(4 - 2 * \narrow)  /* the loop is one load ahead */
    str     r1, [sp, #F_END]
    movs    r9, #0
    adr.w   r11, 3f
    cbz     r2, 0f
    subs    r2, r2, #1
    and     r2, r2, #(\count - 1)
    rsb     r2, r2, #(\count - 1)       /* pairs that the first pass skips */
    movs    r7, #pair_bytes
    adr.w   r11, 2f
    mla     r11, r2, r7, r11
    .if \hashes <= 5
    and     r9, r2, #(\reach - 1)
    lsl     r9, r9, #(5 + \hashes)
    .if \count > \reach
    bic     r2, r2, #(\reach - 1)
    add     r11, r11, r2, lsr #1        /* r1 advances once among 8 pairs that are skipped */
    .endif
    .endif
0:  str.w   r9, [sp, #F_EARLY]
    orr     r11, r11, #1                /* Thumb */
    str.w   r11, [sp, #F_ENTRY]
    mov     r1, r3

1:  /* a tile; r1 is its table */
    ldr.w   lr, [sp, #F_OFFSET]
    ldr     r0, [sp, #F_IDS]
    ldr     r3, [sp, #F_EARLY]
    ldmia.w lr!, {r4-r11}
    subs    r1, r1, r3
    str.w   lr, [sp, #F_OFFSET]
    next_ids \narrow
    ldr.w   r12, [sp, #F_ENTRY]
    addresses \narrow
    .if stride > 4095
    add.w   r3, r3, #4096
    .endif
    bx      r12

    .p2align 2
2:  block_of_pairs \hashes, \count, \reach, \narrow, \paired
    ldr.w   r12, [sp, #F_END]
    cmp     r0, r12
    bne.w   2b

    .p2align 2
3:  ldr     r3, [sp, #F_BITS]
    ldr     r0, [sp, #F_OUT]
    ldr.w   r12, [sp, #F_AFTER]
    bx      r12

    .p2align 2
4:  ldr.w   r12, [r2]                   /* an odd last row */
    ldr.w   lr, [r2, #4]
    add_word r4, r5, r12
    add_word r6, r7, lr
    ldr.w   r12, [r2, #8]
    ldr.w   lr, [r2, #12]
    add_word r8, r9, r12
    add_word r10, r11, lr
    ldr.w   r12, [sp, #F_SATURATE]
    add.w   r1, r1, #stride
    bx      r12

    .p2align 2
5:  saturate_table 6f
6:  pack_tile r3, r12
    str     r4, [r0]
    str     r5, [r0, #4]
    str     r6, [r0, #8]
    str     r7, [r0, #12]
    ldr     r4, [sp, #F_TILES]
    adds    r0, r0, #16
    str     r0, [sp, #F_OUT]
    subs    r4, r4, #1
    str     r4, [sp, #F_TILES]
    bne.w   1b
    add     sp, sp, #F_BYTES
    pop     {r4-r11, pc}
    .size   \name, . - \name
    .endm

#endif /* OST_REUSE_LOOKUP_ROWS_ASM_H */
