/* void ost_conv_s8_dense_gemm(const ost_dense_product *product): bias + weights * rows, 4 channels x 2 pixels at a time,
 * as sums or requantised to int8.
 *
 * Layouts: ost_conv_s8_dense_gemm.h. A pair of columns is 6 loads and 8 SMLAD, 16 modelled cycles for 16
 * multiplications; no register is left over, so the loop's end lives on the stack, and a pass costs 8 cycles more than its
 * pairs. One pass covers OST_DENSE_PASS blocks, 448 bytes each: 2.7 KB, more than the 1 KB instruction cache of an
 * STM32F4's flash accelerator; with wait states it is best run from RAM. The first pass of a channel group enters
 * behind the blocks that there are not and the pairs that are padding; all pairs have the same code size, and the
 * pointers start that much early. The plain twin is ost_conv_s8_dense_gemm_plain.c. */

#if defined(__ARM_FEATURE_DSP) && (__ARM_FEATURE_DSP == 1) && !defined(OST_PLAIN_C)

    .syntax unified
    .thumb

    .equ    OST_DENSE_PASS, 6       /* as in ost_conv_s8_dense_gemm.h */

/* r2..r9 are the sums of channels 0..3, pixels 0 and 1; r0 the rows, r1 the weights. */
    .macro pair block, index
    ldr.w   r10, [r0, #(64 * \block + 4 * \index)]
    ldr.w   r11, [r0, #(64 * \block + 4 * \index + 32)]
    ldr.w   r12, [r1, #(128 * \block + 4 * \index)]
    ldr.w   lr, [r1, #(128 * \block + 4 * \index + 32)]
    smlad   r2, r10, r12, r2
    smlad   r3, r11, r12, r3
    smlad   r4, r10, lr, r4
    smlad   r5, r11, lr, r5
    ldr.w   r12, [r1, #(128 * \block + 4 * \index + 64)]
    ldr.w   lr, [r1, #(128 * \block + 4 * \index + 96)]
    smlad   r6, r10, r12, r6
    smlad   r7, r11, r12, r7
    smlad   r8, r10, lr, r8
    smlad   r9, r11, lr, r9
    .endm

    .equ    PAIR_BYTES, 14 * 4

/* One channel's two sums to int8 in place (ost_finish_narrow); r0 walks through the narrow stage. */
    .macro finish sum0, sum1
    ldmia   r0!, {r10-r12}          /* multiplier, right, rounding */
    lsl     lr, \sum0, #1
    smmlar  lr, lr, r10, r12
    add     \sum0, lr, \sum0, asr #31
    lsl     lr, \sum1, #1
    smmlar  lr, lr, r10, r12
    add     \sum1, lr, \sum1, asr #31
    asr     \sum0, \sum0, r11
    asr     \sum1, \sum1, r11
    ssat    \sum0, #8, \sum0
    ssat    \sum1, #8, \sum1
    .endm

/* ost_dense_product */
    .equ    P_ROWS, 0
    .equ    P_WEIGHTS, 4
    .equ    P_BIAS, 8
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
    .equ    F_BIAS, 16
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
    ldr     r2, [r0, #P_BIAS]
    ldr     r3, [r0, #P_SUMS]
    ldr     r4, [r0, #P_GROUPS]
    ldr     r5, [r0, #P_BLOCKS]
    ldr     r6, [r0, #P_SKIP]
    ldr     r7, [r0, #P_ROWS]
    str     r2, [sp, #F_BIAS]
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
    lsl     r9, r8, #7
    str     r9, [sp, #F_EARLY]
    add     r11, r7, r5, lsl #6     /* 64 bytes of rows a block */
    str     r11, [sp, #F_ROWS_END]
    sub     r7, r7, r8, lsl #6
    str     r7, [sp, #F_ROWS]

.Lgroup:
    ldr     r0, [sp, #F_ROWS]
    ldr     r11, [sp, #F_EARLY]
    ldr     r12, [sp, #F_BIAS]
    ldr     lr, [sp, #F_ENTRY]
    sub     r1, r1, r11
    ldmia   r12!, {r2, r4, r6, r8}
    str     r12, [sp, #F_BIAS]
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
    add.w   r1, r1, #(128 * OST_DENSE_PASS)
    cmp     r0, r10
    bne.w   .Lpass

    ldr     r0, [sp, #F_NARROW]
    cmp     r0, #0
    beq     .Lsums

    finish  r2, r3
    finish  r4, r5
    finish  r6, r7
    finish  r8, r9
    ldr     r10, [sp, #F_OUT0]
    ldr     r11, [sp, #F_OUT1]
    str     r0, [sp, #F_NARROW]
    strb    r4, [r10, #1]
    strb    r6, [r10, #2]
    strb    r8, [r10, #3]
    strb    r2, [r10], #4
    strb    r5, [r11, #1]
    strb    r7, [r11, #2]
    strb    r9, [r11, #3]
    strb    r3, [r11], #4
    str     r10, [sp, #F_OUT0]
    str     r11, [sp, #F_OUT1]
    b       .Lnext

.Lsums:
    ldr     r12, [sp, #F_SUMS]
    stmia   r12!, {r2-r9}
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
