/* void ost_fully_connected_s8_blocks(const int8_t *in, const int16_t *weights, int32_t blocks, int32_t sums[4]):
 * adds the products of four outputs and blocks x 16 inputs; weights are blocks x 2 pairs of outputs x 16. blocks >= 1.
 *
 * A word of four inputs is one burst of 5 loads, 6 SXTB16 and 8 SMLAD for 16 multiplications: 20 modelled cycles, where
 * int8 weights, widened, took 24. Two blocks a turn; an odd number enters in the middle. Layout and the trick of two
 * channels in one product: ost_conv_s8_dense_gemm.h. The plain twin is in ost_fully_connected_s8.c. */

#if defined(__ARM_FEATURE_DSP) && (__ARM_FEATURE_DSP == 1) && !defined(OST_PLAIN_C)

    .syntax unified
    .thumb

/* r0 inputs, r1 weights; sums of 256 * output 1 + output 0 (r4), output 0 (r5), 256 * output 3 + output 2 (r6), output 2 (r7). */
    .macro four_inputs block, index
    ldr.w   r9, [r0, #(16 * \block + 4 * \index)]
    ldr.w   r10, [r1, #(64 * \block + 8 * \index)]
    ldr.w   r11, [r1, #(64 * \block + 8 * \index + 4)]
    ldr.w   r12, [r1, #(64 * \block + 8 * \index + 32)]
    ldr.w   lr, [r1, #(64 * \block + 8 * \index + 36)]
    sxtb16  r8, r9
    smlad   r4, r8, r10, r4
    sxtb16  r10, r10
    smlad   r6, r8, r12, r6
    sxtb16  r12, r12
    smlad   r5, r8, r10, r5
    sxtb16  r9, r9, ror #8
    smlad   r7, r8, r12, r7
    smlad   r4, r9, r11, r4
    sxtb16  r11, r11
    smlad   r6, r9, lr, r6
    sxtb16  lr, lr
    smlad   r5, r9, r11, r5
    smlad   r7, r9, lr, r7
    .endm

    .macro sixteen_inputs block
    four_inputs \block, 0
    four_inputs \block, 1
    four_inputs \block, 2
    four_inputs \block, 3
    .endm

    .section .text.ost_fully_connected_s8_blocks, "ax", %progbits
    .global ost_fully_connected_s8_blocks
    .type   ost_fully_connected_s8_blocks, %function
    .thumb_func
    .p2align 2
ost_fully_connected_s8_blocks:
    push    {r4-r11, lr}
    movs    r4, #0
    movs    r5, #0
    movs    r6, #0
    movs    r7, #0
    adds    r2, r2, #1
    lsrs    r2, r2, #1              /* turns; carry: the number of blocks is even */
    bcs     .Ltwo
    sub     r0, r0, #16
    sub     r1, r1, #64
    b       .Lone
    .p2align 2
.Ltwo:
    sixteen_inputs 0
.Lone:
    sixteen_inputs 1
    adds    r0, r0, #32
    adds    r1, r1, #128
    subs    r2, r2, #1
    bne.w   .Ltwo
    ldm     r3, {r8-r11}
    sub     r4, r4, r5
    sub     r6, r6, r7
    add     r8, r8, r5
    add     r9, r9, r4, asr #8
    add     r10, r10, r7
    add     r11, r11, r6, asr #8
    stm     r3, {r8-r11}
    pop     {r4-r11, pc}
    .size   ost_fully_connected_s8_blocks, . - ost_fully_connected_s8_blocks

#endif

#if defined(__linux__) && defined(__ELF__)
    .section .note.GNU-stack, "", %progbits
#endif
