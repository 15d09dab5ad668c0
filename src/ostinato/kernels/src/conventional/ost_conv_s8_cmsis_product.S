/* void ost_conv_s8_cmsis_product(const int8_t *a0, const int8_t *a1, const int16_t *b0, const int16_t *b1,
 *                                int32_t columns, int32_t sums[4]):
 * adds the products of weight rows a0, a1 and pixel rows b0, b1 to sums[2 * channel + pixel].
 *
 * CMSIS-NN's instruction mix, with nothing spilled: four columns are 6 loads, 4 SXTB16, 4 PKH and 8 SMLAD for 16
 * multiplications. The plain twin is in ost_conv_s8_cmsis.c. */

#if defined(__ARM_FEATURE_DSP) && (__ARM_FEATURE_DSP == 1) && !defined(OST_PLAIN_C)

    .syntax unified
    .thumb

    .section .text.ost_conv_s8_cmsis_product, "ax", %progbits
    .global ost_conv_s8_cmsis_product
    .type   ost_conv_s8_cmsis_product, %function
    .thumb_func
    .p2align 2
ost_conv_s8_cmsis_product:
    push    {r4-r11, lr}
    sub     sp, sp, #4
    ldr     r8, [sp, #40]           /* columns */
    ldr     r9, [sp, #44]           /* sums */
    ldm     r9, {r4-r7}
    bic     r10, r8, #3
    add     r10, r0, r10            /* where the groups of four end */
    str     r10, [sp]
    cmp     r0, r10
    beq     .Ltail

    .p2align 2
.Lfour:
    ldr     r8, [r0], #4
    ldr     r9, [r1], #4
    sxtb16  r10, r8
    sxtb16  r8, r8, ror #8
    pkhbt   r11, r10, r8, lsl #16   /* a0, columns 0 and 1 */
    pkhtb   r8, r8, r10, asr #16    /* a0, columns 2 and 3 */
    sxtb16  r10, r9
    sxtb16  r9, r9, ror #8
    pkhbt   r12, r10, r9, lsl #16   /* a1, columns 0 and 1 */
    pkhtb   r9, r9, r10, asr #16    /* a1, columns 2 and 3 */
    ldr     r10, [r2], #4
    ldr     lr, [r3], #4
    smlad   r4, r11, r10, r4
    smlad   r5, r11, lr, r5
    smlad   r6, r12, r10, r6
    smlad   r7, r12, lr, r7
    ldr     r10, [r2], #4
    ldr     lr, [r3], #4
    smlad   r4, r8, r10, r4
    smlad   r5, r8, lr, r5
    smlad   r6, r9, r10, r6
    smlad   r7, r9, lr, r7
    ldr     r10, [sp]
    cmp     r0, r10
    bne     .Lfour

.Ltail:
    ldr     r8, [sp, #40]
    ands    r8, r8, #3
    beq     .Ldone
.Lone:
    ldrsb   r9, [r0], #1
    ldrsb   r10, [r1], #1
    ldrsh   r11, [r2], #2
    ldrsh   r12, [r3], #2
    smlabb  r4, r9, r11, r4
    smlabb  r5, r9, r12, r5
    smlabb  r6, r10, r11, r6
    smlabb  r7, r10, r12, r7
    subs    r8, r8, #1
    bne     .Lone

.Ldone:
    ldr     r9, [sp, #44]
    stm     r9, {r4-r7}
    add     sp, sp, #4
    pop     {r4-r11, pc}
    .size   ost_conv_s8_cmsis_product, . - ost_conv_s8_cmsis_product

#endif

#if defined(__linux__) && defined(__ELF__)
    .section .note.GNU-stack, "", %progbits
#endif
