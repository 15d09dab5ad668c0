/* void ost_conv_s8_dense_gemm(const ost_dense_product *product): start + weights * rows, 4 channels x 2 pixels at a time,
 * as sums or requantised to int8.
 *
 * Layouts and the trick of two channels in one product: ost_conv_s8_dense_gemm.h. A pair of columns is 4 loads, 2 SXTB16
 * and 8 SMLAD, 15 modelled cycles for 16 multiplications; no register is left over, so the loop's end lives on the stack,
 * and a pass costs 8 cycles more than its pairs. One pass covers OST_DENSE_PASS blocks, 384 bytes each: 2.3 KB, more than
 * the 1 KB instruction cache of an STM32F4's flash accelerator; with wait states it is best run from RAM. The first pass
 * of a channel group enters behind the blocks that there are not and the pairs that are padding; all pairs have the same
 * code size, and the pointers start that much early. The plain twin is ost_conv_s8_dense_gemm_plain.c. */

#if defined(__ARM_FEATURE_DSP) && (__ARM_FEATURE_DSP == 1) && !defined(OST_PLAIN_C)

    .syntax unified
    .thumb

    .equ    OST_DENSE_PASS, 6       /* as in ost_conv_s8_dense_gemm.h */

/* r0 the rows, r1 the weights; pixels 0 and 1 of 256 * channel 1 + channel 0 (r2, r3), channel 0 (r4, r5),
 * 256 * channel 3 + channel 2 (r6, r7), channel 2 (r8, r9). */
    .macro pair block, index
    ldr.w   r10, [r0, #(64 * \block + 4 * \index)]
    ldr.w   r11, [r0, #(64 * \block + 4 * \index + 32)]
    ldr.w   r12, [r1, #(64 * \block + 4 * \index)]
    ldr.w   lr, [r1, #(64 * \block + 4 * \index + 32)]
    smlad   r2, r10, r12, r2
    smlad   r3, r11, r12, r3
    sxtb16  r12, r12
    smlad   r6, r10, lr, r6
    smlad   r7, r11, lr, r7
    sxtb16  lr, lr
    smlad   r4, r10, r12, r4
    smlad   r5, r11, r12, r5
    smlad   r8, r10, lr, r8
    smlad   r9, r11, lr, r9
    .endm

    .equ    PAIR_BYTES, 14 * 4

/* (256 * b + a, a) to 2^up * b; up is 0 or 1. */
    .macro part both, first, up
    sub     \both, \both, \first
    asr     \both, \both, #(8 - \up)
    .endm

/* A channel's two sums, given twice as large, to int8 in place (ost_finish_narrow); r0 walks through the narrow stage. */
    .macro finish twice0, twice1
    ldmia   r0!, {r10-r12}          /* multiplier, right, rounding */
    smmlar  lr, \twice0, r10, r12
    add     \twice0, lr, \twice0, asr #31
    smmlar  lr, \twice1, r10, r12
    add     \twice1, lr, \twice1, asr #31
    asr     \twice0, \twice0, r11
    asr     \twice1, \twice1, r11
    ssat    \twice0, #8, \twice0
    ssat    \twice1, #8, \twice1
    .endm

/* ost_dense_product */
    .equ    P_ROWS, 0
    .equ    P_WEIGHTS, 4
    .equ    P_START, 8
    .equ    P_SUMS, 12
    .equ    P_GROUPS, 16
    .equ    P_BLOCKS, 20
    .equ    P_SKIP, 24
    .equ    P_NARROW, 28
    .equ    P_OUT0, 32
    .equ    P_OUT1, 36

/* The stack frame. */
    .equ    F_ROWS_END, 0
    .equ    F_ROWS, 4
    .equ    F_ENTRY, 8
    .equ    F_EARLY, 12     /* bytes of weights that the pointer starts early */
    .equ    F_START, 16
    .equ    F_SUMS, 20
    .equ    F_GROUPS, 24
    .equ    F_NARROW, 28
    .equ    F_OUT0, 32
    .equ    F_OUT1, 36
    .equ    F_BYTES, 40

    .section .text.ost_conv_s8_dense_gemm, "ax", %progbits
    .global ost_conv_s8_dense_gemm
    .type   ost_conv_s8_dense_gemm, %function
    .thumb_func
    .p2align 4
ost_conv_s8_dense_gemm:
    push    {r4-r11, lr}
    sub     sp, sp, #F_BYTES
    ldr     r1, [r0, #P_WEIGHTS]
    ldr     r2, [r0, #P_START]
    ldr     r3, [r0, #P_SUMS]
    ldr     r4, [r0, #P_GROUPS]
    ldr     r5, [r0, #P_BLOCKS]
    ldr     r6, [r0, #P_SKIP]
    ldr     r7, [r0, #P_ROWS]
    str     r2, [sp, #F_START]
    str     r3, [sp, #F_SUMS]
    str     r4, [sp, #F_GROUPS]
    ldr     r2, [r0, #P_NARROW]
    ldr     r3, [r0, #P_OUT0]
    ldr     r4, [r0, #P_OUT1]
    str     r2, [sp, #F_NARROW]
    str     r3, [sp, #F_OUT0]
    str     r4, [sp, #F_OUT1]
    lsr     r8, r6, #3              /* blocks that the first pass skips */
    movs    r9, #PAIR_BYTES
    adr.w   r10, .Lpass
    mla     r10, r6, r9, r10
    orr     r10, r10, #1            /* Thumb */
    str     r10, [sp, #F_ENTRY]
    lsl     r9, r8, #6              /* 64 bytes of weights a block, and of rows */
    str     r9, [sp, #F_EARLY]
    add     r11, r7, r5, lsl #6
    str     r11, [sp, #F_ROWS_END]
    sub     r7, r7, r9
    str     r7, [sp, #F_ROWS]

.Lgroup:
    ldr     r0, [sp, #F_ROWS]
    ldr     r11, [sp, #F_EARLY]
    ldr     r12, [sp, #F_START]
    ldr     lr, [sp, #F_ENTRY]
    sub     r1, r1, r11
    ldmia   r12!, {r2, r4, r6, r8}
    str     r12, [sp, #F_START]
    mov     r3, r2
    mov     r5, r4
    mov     r7, r6
    mov     r9, r8
    bx      lr

    .p2align 4
.Lpass:
    .set    block, 0
    .rept   OST_DENSE_PASS
    pair    block, 0
    pair    block, 1
    pair    block, 2
    pair    block, 3
    pair    block, 4
    pair    block, 5
    pair    block, 6
    pair    block, 7
    .set    block, block + 1
    .endr
    ldr.w   r10, [sp, #F_ROWS_END]
    add.w   r0, r0, #(64 * OST_DENSE_PASS)
    add.w   r1, r1, #(64 * OST_DENSE_PASS)
    cmp     r0, r10
    bne.w   .Lpass

    ldr     r0, [sp, #F_NARROW]
    cmp     r0, #0
    beq     .Lsums

    part    r2, r4, 1
    part    r3, r5, 1
    part    r6, r8, 1
    part    r7, r9, 1
    lsl     r4, r4, #1
    lsl     r5, r5, #1
    lsl     r8, r8, #1
    lsl     r9, r9, #1
    finish  r4, r5
    finish  r2, r3
    finish  r8, r9
    finish  r6, r7
    ldr     r10, [sp, #F_OUT0]
    ldr     r11, [sp, #F_OUT1]
    str     r0, [sp, #F_NARROW]
    strb    r2, [r10, #1]
    strb    r8, [r10, #2]
    strb    r6, [r10, #3]
    strb    r4, [r10], #4
    strb    r3, [r11, #1]
    strb    r9, [r11, #2]
    strb    r7, [r11, #3]
    strb    r5, [r11], #4
    str     r10, [sp, #F_OUT0]
    str     r11, [sp, #F_OUT1]
    b       .Lnext

.Lsums:
    part    r2, r4, 0
    part    r3, r5, 0
    part    r6, r8, 0
    part    r7, r9, 0
    ldr     r12, [sp, #F_SUMS]
    stmia   r12!, {r4, r5}
    stmia   r12!, {r2, r3}
    stmia   r12!, {r8, r9}
    stmia   r12!, {r6, r7}
    str     r12, [sp, #F_SUMS]

.Lnext:
    ldr     r11, [sp, #F_GROUPS]
    subs    r11, r11, #1
    str     r11, [sp, #F_GROUPS]
    bne.w   .Lgroup

    add     sp, sp, #F_BYTES
    pop     {r4-r11, pc}
    .size   ost_conv_s8_dense_gemm, . - ost_conv_s8_dense_gemm

#endif

#if defined(__linux__) && defined(__ELF__)
    .section .note.GNU-stack, "", %progbits
#endif
