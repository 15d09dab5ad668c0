/* Assembler macros of ost_reuse_sum_<layer>(const ost_pointer_sum *sum): 16 channels of all outputs of one layer.
 *
 * The map holds addresses of table rows, so a row costs one load of its address; where it lies in the map and which
 * kernel position's 16 bytes it reads are immediate offsets. Generated code names the layer's sizes and then its rows,
 * between sum_begin and sum_end: first those that are added in pairs by SADD8 before they are widened (the packing has
 * proven that no sum of the two leaves int8), then single ones. 25 cycles for a pair (32 results), 14 for a single row.
 * Straight-line code of 88 bytes a pair: it is best run from RAM where flash has wait states.
 *
 * POOLED: the sizes are those of one output of each pooling window, and the function is called for each of them; but for
 * the first, what was stored stays if it is larger: 16 cycles for 16 channels.
 *
 * Registers: r0 the window's corner in the map, r1 and r2 addresses, r4 to r11 sums (ost_reuse_pack_asm.h's order). */
#ifndef OST_REUSE_POINTERS_SUM_ASM_H
#define OST_REUSE_POINTERS_SUM_ASM_H

    .syntax unified
    .thumb

#include "ost_reuse_add_rows_asm.h"
#include "ost_reuse_pack_asm.h"

/* The stack frame: the 8 words that sums start from, then */
    .equ    S_OUT, 32
    .equ    S_ROW_END, 36       /* of the outputs of this row */
    .equ    S_END, 40           /* of all outputs */
    .equ    S_MAP, 44           /* of this row's first window */
    .equ    S_STRIDE, 48
    .equ    S_ROW_BYTES, 52
    .equ    S_POOLED, 56
    .equ    S_BYTES, 60

/* at_map, at_table: where row number \row is found; rows run through kernel rows, kernel columns and channel blocks. */
    .macro  locate row
    .set    tap, (\row) / BLOCKS
    .set    at_map, (tap / KERNEL_WIDTH) * TAP_ROW_BYTES + (tap % KERNEL_WIDTH) * TAP_BYTES + ((\row) % BLOCKS) * 4
    .set    at_table, tap * 16
    .endm

    .macro  sum_begin name, row
    .section .text.\name, "ax", %progbits
    .global \name
    .type   \name, %function
    .thumb_func
    .p2align 3
\name:
    push    {r4-r11, lr}
    sub     sp, sp, #S_BYTES
    ldmia   r0, {r0-r5}                 /* map, offset, out, stride, row_bytes, pooled */
    str     r0, [sp, #S_MAP]
    str     r2, [sp, #S_OUT]
    str     r3, [sp, #S_STRIDE]
    str     r4, [sp, #S_ROW_BYTES]
    str     r5, [sp, #S_POOLED]
    add     r3, r2, r4
    str     r3, [sp, #S_ROW_END]
    movw    r5, #OUTPUT_ROWS
    mla     r2, r4, r5, r2
    str     r2, [sp, #S_END]
    ldmia   r1, {r4-r11}
    stmia   sp, {r4-r11}

1:  ldr     r4, [sp, #0]
    ldr     r5, [sp, #4]
    ldr     r6, [sp, #8]
    ldr     r7, [sp, #12]
    ldr.w   r8, [sp, #16]
    ldr.w   r9, [sp, #20]
    ldr.w   r10, [sp, #24]
    ldr.w   r11, [sp, #28]
    load_next r1, \row
    .endm

    .macro  sum_end name
    ssat16  r4, #(8 + FRACTION_BITS), r4
    ssat16  r5, #(8 + FRACTION_BITS), r5
    ssat16  r6, #(8 + FRACTION_BITS), r6
    ssat16  r7, #(8 + FRACTION_BITS), r7
    ssat16  r8, #(8 + FRACTION_BITS), r8
    ssat16  r9, #(8 + FRACTION_BITS), r9
    ssat16  r10, #(8 + FRACTION_BITS), r10
    ssat16  r11, #(8 + FRACTION_BITS), r11
    mov     r1, #0x00ff00ff
    ldr     r2, [sp, #S_OUT]
    ldr     r3, [sp, #S_ROW_END]
    ldr.w   r12, [sp, #S_STRIDE]
    .if POOLED
    ldr.w   lr, [sp, #S_POOLED]
    .endif
    pack_known r4, r4, r5
    pack_known r5, r6, r7
    pack_known r6, r8, r9
    pack_known r7, r10, r11
    .if POOLED
    cmp     lr, #0
    beq     2f
    ldr.w   r8, [r2]
    ldr.w   r9, [r2, #4]
    ldr.w   r10, [r2, #8]
    ldr.w   r11, [r2, #12]
    largest r4, r8
    largest r5, r9
    largest r6, r10
    largest r7, r11
2:
    .endif
    str     r4, [r2]
    str     r5, [r2, #4]
    str     r6, [r2, #8]
    str     r7, [r2, #12]
    add     r2, r2, r12
    add     r0, r0, #STEP_BYTES
    str     r2, [sp, #S_OUT]
    cmp     r2, r3
    bne.w   1b

    ldr     r0, [sp, #S_MAP]            /* the next row */
    ldr     r1, [sp, #S_END]
    movw    r3, #STEP_ROW_BYTES
    add     r0, r0, r3
    str     r0, [sp, #S_MAP]
    ldr     r3, [sp, #S_ROW_BYTES]
    add     r3, r3, r2
    str     r3, [sp, #S_ROW_END]
    cmp     r2, r1
    bne.w   1b
    add     sp, sp, #S_BYTES
    pop     {r4-r11, pc}
    .size   \name, . - \name
    .endm

/* Of four bytes each; r1 is overwritten. */
    .macro  largest word, other
    ssub8   r1, \word, \other
    sel     \word, \word, \other
    .endm

/* Saturated sums of channels (0, 2) and (1, 3) to the bytes of one word; r1 is 0x00ff00ff. */
    .macro  pack_known to, even, odd
    and     \even, r1, \even, lsr #FRACTION_BITS
    and     \odd, r1, \odd, lsr #FRACTION_BITS
    orr     \to, \even, \odd, lsl #8
    .endm

#endif /* OST_REUSE_POINTERS_SUM_ASM_H */
