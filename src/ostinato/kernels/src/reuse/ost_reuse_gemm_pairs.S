/* void ost_reuse_gemm_pairs_<g>(const ost_gemm_pairs *pairs): g centroids times pairs of channels, requantised by
 * SMMULR, saturated to int16 and stored as one word of g table rows. */

#if defined(__ARM_FEATURE_DSP) && (__ARM_FEATURE_DSP == 1) && !defined(OST_PLAIN_C)

#include "ost_reuse_products_asm.h"

/* ost_gemm_pairs */
    .equ    P_WEIGHTS, 0
    .equ    P_COUNT, 4
    .equ    P_CENTROIDS, 8
    .equ    P_WORDS, 12
    .equ    P_MULTIPLIER, 16
    .equ    P_SKIP, 20
    .equ    P_ROWS, 24

/* The stack frame. */
    .equ    F_CENTROIDS, 0
    .equ    F_ENTRY, 4
    .equ    F_BLOCKS_LEFT, 8
    .equ    F_BLOCKS, 12
    .equ    F_MULTIPLIER, 16
    .equ    F_ROW, 20           /* four pointers */
    .equ    F_AT, 36            /* bytes from a row's start */
    .equ    F_SKIP, 40
    .equ    F_END, 44           /* of the multipliers */
    .equ    F_FIRST, 48         /* bytes of weights the first block skips */
    .equ    F_BYTES, 56

/* A word of the table from the sums of one cluster: two channels. */
    .macro  requantise even, odd
    smmulr  \even, \even, r12
    smmulr  \odd, \odd, lr
    ssat    \even, #16, \even
    ssat    \odd, #16, \odd
    pkhbt   \even, \even, \odd, lsl #16
    .endm

    .macro  gemm_pairs g, products
    .section .text.ost_reuse_gemm_pairs_\g, "ax", %progbits
    .global ost_reuse_gemm_pairs_\g
    .type   ost_reuse_gemm_pairs_\g, %function
    .thumb_func
    .p2align 3
ost_reuse_gemm_pairs_\g:
    push    {r4-r11, lr}
    sub     sp, sp, #F_BYTES
    add     r1, r0, #P_ROWS
    ldmia   r1, {r2-r5}
    add     r1, sp, #F_ROW
    stmia   r1, {r2-r5}
    ldmia   r0, {r0, r1, r2, r3, r4, r5}    /* weights, count, centroids, words, multiplier, skip */
    str     r4, [sp, #F_MULTIPLIER]
    add     r4, r4, r1, lsl #3
    str     r4, [sp, #F_END]
    str     r5, [sp, #F_SKIP]
    subs    r3, r3, #1
    lsr     r5, r3, #3                  /* blocks behind the first */
    and     r6, r3, #(BLOCK_WORDS - 1)
    rsb     r6, r6, #(BLOCK_WORDS - 1)  /* words the first block skips */
    str     r5, [sp, #F_BLOCKS]
    str     r5, [sp, #F_BLOCKS_LEFT]
    lsl     r7, r6, #3
    str     r7, [sp, #F_FIRST]
    sub     r0, r0, r7
    movs    r7, #(8 * \g)
    mls     r2, r6, r7, r2
    str     r2, [sp, #F_CENTROIDS]
    adr.w   r11, 2f
    movs    r7, #WORD_BYTES_\g
    mla     r11, r6, r7, r11
    orr     r11, r11, #1                /* Thumb */
    str     r11, [sp, #F_ENTRY]
    movs    r7, #0
    str     r7, [sp, #F_AT]

1:  /* a pair of channels */
    ldr.w   lr, [sp, #F_ENTRY]
    ldr     r1, [sp, #F_CENTROIDS]
    movs    r2, #0
    movs    r3, #0
    .if \g >= 2
    movs    r4, #0
    movs    r5, #0
    .endif
    .if \g >= 3
    movs    r6, #0
    movs    r7, #0
    .endif
    .if \g >= 4
    mov     r8, r2
    mov     r9, r2
    .endif
    bx      lr

    .p2align 2
2:  products_block \products, 8, r0, 4
    ldr.w   r11, [sp, #F_BLOCKS_LEFT]
    subs.w  r11, r11, #1
    bpl.w   3f

    ldr.w   r11, [sp, #F_MULTIPLIER]
    ldrd    r12, lr, [r11], #8
    str.w   r11, [sp, #F_MULTIPLIER]
    requantise r2, r3
    .if \g >= 2
    requantise r4, r5
    .endif
    .if \g >= 3
    requantise r6, r7
    .endif
    .if \g >= 4
    requantise r8, r9
    .endif
    ldr     r1, [sp, #F_AT]
    ldr     r3, [sp, #F_ROW]
    .if \g >= 2
    ldr     r5, [sp, #(F_ROW + 4)]
    .endif
    .if \g >= 3
    ldr     r7, [sp, #(F_ROW + 8)]
    .endif
    .if \g >= 4
    ldr.w   r9, [sp, #(F_ROW + 12)]
    .endif
    str     r2, [r3, r1]
    .if \g >= 2
    str     r4, [r5, r1]
    .endif
    .if \g >= 3
    str     r6, [r7, r1]
    .endif
    .if \g >= 4
    str.w   r8, [r9, r1]
    .endif
    ldr     r3, [sp, #F_SKIP]
    ldr     r5, [sp, #F_END]
    ldr     r2, [sp, #F_BLOCKS]
    ldr     r4, [sp, #F_FIRST]
    adds    r1, r1, #4
    tst     r1, #31                     /* 32 bytes of a row lie in one tile */
    it      eq
    addeq   r1, r1, r3
    add.w   r0, r0, #(8 * BLOCK_WORDS)
    subs    r0, r0, r4
    str     r1, [sp, #F_AT]
    str     r2, [sp, #F_BLOCKS_LEFT]
    cmp     r11, r5
    bne.w   1b
    add     sp, sp, #F_BYTES
    pop     {r4-r11, pc}

3:  /* the next block of the same channels */
    str.w   r11, [sp, #F_BLOCKS_LEFT]
    adds    r0, r0, #(8 * BLOCK_WORDS)
    add     r1, r1, #(8 * \g * BLOCK_WORDS)
    b.w     2b
    .size   ost_reuse_gemm_pairs_\g, . - ost_reuse_gemm_pairs_\g
    .endm

    gemm_pairs 1, products_1
    gemm_pairs 2, products_2
    gemm_pairs 3, products_3
    gemm_pairs 4, products_4

#endif

#if defined(__linux__) && defined(__ELF__)
    .section .note.GNU-stack, "", %progbits
#endif
