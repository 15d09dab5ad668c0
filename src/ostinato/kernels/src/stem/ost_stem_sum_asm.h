/* Assembler macros of ost_stem_sum_<layer>(const ost_stem_sum *sum): all channels of a row of outputs of one layer.
 *
 * Generated code names the layer's sizes and then, between stem_sum_begin and stem_sum_end, its tiles of 16 channels:
 * stem_tile_begin, the rows (ost_reuse_add_rows_asm.h; which ones can be added in pairs is another matter in each
 * tile), stem_tile_end. Straight-line code of some 600 bytes a tile of 10 rows: it is best run from RAM where flash has
 * wait states. A tile takes 40 cycles beside its rows. */
#ifndef OST_STEM_SUM_ASM_H
#define OST_STEM_SUM_ASM_H

    .syntax unified
    .thumb

#include "reuse/ost_reuse_add_rows_asm.h"

/* The stack frame. */
    .equ    T_OFFSET, 0
    .equ    T_OUT, 4
    .equ    T_END, 8            /* of the first group's addresses */
    .equ    T_BYTES, 12

/* The addresses of group \row lie OUTPUTS words behind those of the group before. */
    .macro  locate row
    .set    at_map, (\row) * OUTPUTS * 4
    .set    at_table, stem_tile * 16
    .endm

    .macro  stem_sum_begin name
    .section .text.\name, "ax", %progbits
    .global \name
    .type   \name, %function
    .thumb_func
    .p2align 3
\name:
    push    {r4-r11, lr}
    sub     sp, sp, #T_BYTES
    ldmia   r0, {r0-r3}                 /* map, offset, out, count */
    add     r3, r0, r3, lsl #2
    str     r1, [sp, #T_OFFSET]
    str     r2, [sp, #T_OUT]
    str     r3, [sp, #T_END]
    .p2align 2
1:
    .endm

    .macro  stem_tile_begin tile, row
    .set    stem_tile, \tile
    ldr     r1, [sp, #T_OFFSET]
    .if \tile
    addw    r1, r1, #(\tile * 32)
    .endif
    ldmia   r1, {r4-r11}
    load_next r1, \row
    .endm

/* \channels of the word's 4 are stored. */
    .macro  stem_store word, at, channels
    .if \channels >= 4
    str.w   \word, [r2, #\at]
    .else
    .if \channels >= 1
    strb.w  \word, [r2, #\at]
    .endif
    .if \channels >= 2
    lsr     \word, \word, #8
    strb.w  \word, [r2, #(\at + 1)]
    .endif
    .if \channels >= 3
    lsr     \word, \word, #8
    strb.w  \word, [r2, #(\at + 2)]
    .endif
    .endif
    .endm

/* Even channels come to bytes 0 and 2, odd ones to 1 and 3; SEL takes either, by the flags of UADD8. */
    .macro  stem_pack to, even, odd
    .if FRACTION_BITS
    lsr     \even, \even, #FRACTION_BITS
    .endif
    lsl     \odd, \odd, #(8 - FRACTION_BITS)
    sel     \to, \even, \odd
    .endm

    .macro  stem_tile_end channels
    ssat16  r4, #(8 + FRACTION_BITS), r4
    ssat16  r5, #(8 + FRACTION_BITS), r5
    ssat16  r6, #(8 + FRACTION_BITS), r6
    ssat16  r7, #(8 + FRACTION_BITS), r7
    ssat16  r8, #(8 + FRACTION_BITS), r8
    ssat16  r9, #(8 + FRACTION_BITS), r9
    ssat16  r10, #(8 + FRACTION_BITS), r10
    ssat16  r11, #(8 + FRACTION_BITS), r11
    mov     r3, #0x00ff00ff
    uadd8   r3, r3, r3
    ldr     r2, [sp, #T_OUT]
    stem_pack r4, r4, r5
    stem_pack r5, r6, r7
    stem_pack r6, r8, r9
    stem_pack r7, r10, r11
    stem_store r4, (stem_tile * 16), \channels
    stem_store r5, (stem_tile * 16 + 4), (\channels - 4)
    stem_store r6, (stem_tile * 16 + 8), (\channels - 8)
    stem_store r7, (stem_tile * 16 + 12), (\channels - 12)
    .endm

    .macro  stem_sum_end name
    ldr     r3, [sp, #T_END]            /* r2 is the output, still */
    adds    r0, r0, #4
    addw    r2, r2, #CHANNELS
    str     r2, [sp, #T_OUT]
    cmp     r0, r3
    bne.w   1b
    add     sp, sp, #T_BYTES
    pop     {r4-r11, pc}
    .size   \name, . - \name
    .endm

#endif /* OST_STEM_SUM_ASM_H */
