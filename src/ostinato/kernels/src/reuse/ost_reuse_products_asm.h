/* Assembler macros: inner products of two int8 vectors with 1 to 4 int16 vectors, one word of columns at a time.
 *
 * Clustering (two neighbouring vectors, the hashes) and GEMM (two channels' weights, the centroids) have this loop in
 * common. The int16 vectors are interleaved as ost_reuse_hash.h says, at r1; x0 is at r0 and x1 at \x1 + \apart.
 * Sums are r2, r4, ... for x0 and r3, r5, ... for x1. Which registers are left over decides how x is loaded. */
#ifndef OST_REUSE_PRODUCTS_ASM_H
#define OST_REUSE_PRODUCTS_ASM_H

    .syntax unified
    .thumb

    .equ    BLOCK_WORDS, 8      /* unrolled; the first pass enters in the middle */

/* Four vectors, three registers: x is loaded for each parity, the int16 one by one. 40 cycles, 128 bytes. */
    .macro  products_4_narrow index, stride, x1, apart
    half_4_narrow \index, \stride, \x1, \apart, 0
    half_4_narrow \index, \stride, \x1, \apart, 1
    .endm

    .macro  half_4_narrow index, stride, x1, apart, odd
    ldr.w   r11, [r0, #(\stride * \index)]
    ldr.w   r12, [\x1, #(\stride * \index + \apart)]
    ldr.w   lr, [r1, #(32 * \index + 16 * \odd)]
    sxtb16  r11, r11, ror #(8 * \odd)
    sxtb16  r12, r12, ror #(8 * \odd)
    smlad   r2, r11, lr, r2
    smlad   r3, r12, lr, r3
    ldr.w   lr, [r1, #(32 * \index + 16 * \odd + 4)]
    smlad   r4, r11, lr, r4
    smlad   r5, r12, lr, r5
    ldr.w   lr, [r1, #(32 * \index + 16 * \odd + 8)]
    smlad   r6, r11, lr, r6
    smlad   r7, r12, lr, r7
    ldr.w   lr, [r1, #(32 * \index + 16 * \odd + 12)]
    smlad   r8, r11, lr, r8
    smlad   r9, r12, lr, r9
    .endm

/* Four vectors, r10 free too: the int16 two by two. 36 cycles, 128 bytes. */
    .macro  products_4 index, stride, x1, apart
    half_4  \index, \stride, \x1, \apart, 0
    half_4  \index, \stride, \x1, \apart, 1
    .endm

    .macro  half_4 index, stride, x1, apart, odd
    ldr.w   r10, [r0, #(\stride * \index)]
    ldr.w   r11, [\x1, #(\stride * \index + \apart)]
    ldr.w   r12, [r1, #(32 * \index + 16 * \odd)]
    ldr.w   lr, [r1, #(32 * \index + 16 * \odd + 4)]
    sxtb16  r10, r10, ror #(8 * \odd)
    sxtb16  r11, r11, ror #(8 * \odd)
    smlad   r2, r10, r12, r2
    smlad   r3, r11, r12, r3
    smlad   r4, r10, lr, r4
    smlad   r5, r11, lr, r5
    ldr.w   r12, [r1, #(32 * \index + 16 * \odd + 8)]
    ldr.w   lr, [r1, #(32 * \index + 16 * \odd + 12)]
    smlad   r6, r10, r12, r6
    smlad   r7, r11, r12, r7
    smlad   r8, r10, lr, r8
    smlad   r9, r11, lr, r9
    .endm

/* Three vectors: x is loaded for each parity. 28 cycles, 104 bytes. */
    .macro  products_3 index, stride, x1, apart
    half_3  \index, \stride, \x1, \apart, 0
    half_3  \index, \stride, \x1, \apart, 1
    .endm

    .macro  half_3 index, stride, x1, apart, odd
    ldr.w   r8, [r0, #(\stride * \index)]
    ldr.w   r9, [\x1, #(\stride * \index + \apart)]
    ldr.w   r11, [r1, #(24 * \index + 12 * \odd)]
    ldr.w   r12, [r1, #(24 * \index + 12 * \odd + 4)]
    ldr.w   lr, [r1, #(24 * \index + 12 * \odd + 8)]
    sxtb16  r8, r8, ror #(8 * \odd)
    sxtb16  r9, r9, ror #(8 * \odd)
    smlad   r2, r8, r11, r2
    smlad   r3, r9, r11, r3
    smlad   r4, r8, r12, r4
    smlad   r5, r9, r12, r5
    smlad   r6, r8, lr, r6
    smlad   r7, r9, lr, r7
    .endm

/* Two vectors: everything is loaded once. 19 cycles, 72 bytes. */
    .macro  products_2 index, stride, x1, apart
    ldr.w   r6, [r0, #(\stride * \index)]
    ldr.w   r7, [\x1, #(\stride * \index + \apart)]
    ldr.w   r9, [r1, #(16 * \index)]
    ldr.w   r11, [r1, #(16 * \index + 4)]
    ldr.w   r12, [r1, #(16 * \index + 8)]
    ldr.w   lr, [r1, #(16 * \index + 12)]
    sxtb16  r8, r6
    smlad   r2, r8, r9, r2
    smlad   r4, r8, r11, r4
    sxtb16  r8, r7
    smlad   r3, r8, r9, r3
    smlad   r5, r8, r11, r5
    sxtb16  r6, r6, ror #8
    smlad   r2, r6, r12, r2
    smlad   r4, r6, lr, r4
    sxtb16  r7, r7, ror #8
    smlad   r3, r7, r12, r3
    smlad   r5, r7, lr, r5
    .endm

/* One vector. 13 cycles, 48 bytes. */
    .macro  products_1 index, stride, x1, apart
    ldr.w   r6, [r0, #(\stride * \index)]
    ldr.w   r7, [\x1, #(\stride * \index + \apart)]
    ldr.w   r9, [r1, #(8 * \index)]
    ldr.w   r11, [r1, #(8 * \index + 4)]
    sxtb16  r8, r6
    smlad   r2, r8, r9, r2
    sxtb16  r8, r7
    smlad   r3, r8, r9, r3
    sxtb16  r6, r6, ror #8
    smlad   r2, r6, r11, r2
    sxtb16  r7, r7, ror #8
    smlad   r3, r7, r11, r3
    .endm

/* A block of words. */
    .macro  products_block name, stride, x1, apart
    \name   0, \stride, \x1, \apart
    \name   1, \stride, \x1, \apart
    \name   2, \stride, \x1, \apart
    \name   3, \stride, \x1, \apart
    \name   4, \stride, \x1, \apart
    \name   5, \stride, \x1, \apart
    \name   6, \stride, \x1, \apart
    \name   7, \stride, \x1, \apart
    .endm

    .equ    WORD_BYTES_1, 48
    .equ    WORD_BYTES_2, 72
    .equ    WORD_BYTES_3, 104
    .equ    WORD_BYTES_4, 128

#endif /* OST_REUSE_PRODUCTS_ASM_H */
