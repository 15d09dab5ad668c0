/* void ost_max_pool_s8_columns(const ost_max_pool_columns *columns): maxima of columns of three rows; that of a window's last
 * column stays in registers for the next window. 57 cycles for 8 outputs, where windows by themselves take 140. */

#if defined(__ARM_FEATURE_DSP) && (__ARM_FEATURE_DSP == 1) && !defined(OST_PLAIN_C)

    .syntax unified
    .thumb

/* \to = the larger bytes of \a and \b; \to may be one of them. r12 is overwritten. */
    .macro  larger to, a, b
    ssub8   r12, \a, \b
    sel     \to, \a, \b
    .endm

/* \a, \b: the maximum of the column at r0, 8 channels; r0 goes to the next one. */
    .macro  column a, b
    add     r11, r0, r1
    ldr     \a, [r0]
    ldr.w   \b, [r0, #4]
    ldr.w   r9, [r11]
    ldr.w   r10, [r11, #4]
    larger  \a, \a, r9
    larger  \b, \b, r10
    add     r11, r11, lr
    ldr.w   r9, [r11]
    ldr.w   r10, [r11, #4]
    add     r0, r0, r2
    larger  \a, \a, r9
    larger  \b, \b, r10
    .endm

    .section .text.ost_max_pool_s8_columns, "ax", %progbits
    .global ost_max_pool_s8_columns
    .type   ost_max_pool_s8_columns, %function
    .thumb_func
    .p2align 3
ost_max_pool_s8_columns:
    push    {r4-r11, lr}
    ldr.w   lr, [r0, #20]               /* third row */
    ldr     r7, [r0, #24]               /* padded */
    ldmia   r0, {r0, r1, r2, r3, r4}    /* in, second row, column step, out, count */
    mov     r5, #0x80808080
    mov     r6, r5
    cbnz    r7, 1f
    column  r5, r6
1:  column  r7, r8
    larger  r5, r5, r7
    larger  r6, r6, r8
    column  r7, r8
    larger  r5, r5, r7
    larger  r6, r6, r8
    str     r5, [r3]
    str     r6, [r3, #4]
    add     r3, r3, r2
    mov     r5, r7
    mov     r6, r8
    subs    r4, r4, #1
    bne     1b
    pop     {r4-r11, pc}
    .size   ost_max_pool_s8_columns, . - ost_max_pool_s8_columns

#endif

#if defined(__linux__) && defined(__ELF__)
    .section .note.GNU-stack, "", %progbits
#endif
