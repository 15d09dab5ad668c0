/* void ost_fully_connected_s8_blocks(const int8_t *in, const int8_t *weights, int32_t blocks, int32_t sums[4]):
 * adds the products of four outputs and blocks x 16 inputs; weights are blocks x 4 x 16. blocks >= 1.
 *
 * A word of four inputs is one burst of 5 loads, 10 SXTB16 and 8 SMLAD for 16 multiplications. The plain twin is in
 * ost_fully_connected_s8.c. */

#if defined(__ARM_FEATURE_DSP) && (__ARM_FEATURE_DSP == 1) && !defined(OST_PLAIN_C)

    .syntax unified
    .thumb

/* Expands \word with r3 as temporary and adds its products with the inputs (r8 even, r9 odd) to \sum. */
    .macro dot4 sum, word
    sxtb16  r3, \word
    sxtb16  \word, \word, ror #8
    smlad   \sum, r8, r3, \sum
    smlad   \sum, r9, \word, \sum
    .endm

    .macro four_inputs offset
    ldr     r8, [r0, #\offset]
    ldr     r10, [r1, #\offset]
    ldr     r11, [r1, #(\offset + 16)]
    ldr     r12, [r1, #(\offset + 32)]
    ldr     lr, [r1, #(\offset + 48)]
    sxtb16  r9, r8, ror #8
    sxtb16  r8, r8
    dot4    r4, r10
    dot4    r5, r11
    dot4    r6, r12
    dot4    r7, lr
    .endm

    .section .text.ost_fully_connected_s8_blocks, "ax", %progbits
    .global ost_fully_connected_s8_blocks
    .type   ost_fully_connected_s8_blocks, %function
    .thumb_func
    .p2align 2
ost_fully_connected_s8_blocks:
    push    {r3-r11, lr}
    ldm     r3, {r4-r7}
    .p2align 2
.Lblock:
    four_inputs 0
    four_inputs 4
    four_inputs 8
    four_inputs 12
    adds    r0, r0, #16
    adds    r1, r1, #64
    subs    r2, r2, #1
    bne.w   .Lblock
    ldr     r3, [sp]
    stm     r3, {r4-r7}
    pop     {r3-r11, pc}
    .size   ost_fully_connected_s8_blocks, . - ost_fully_connected_s8_blocks

#endif

#if defined(__linux__) && defined(__ELF__)
    .section .note.GNU-stack, "", %progbits
#endif
