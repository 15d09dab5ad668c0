/* void ost_conv_s8_depthwise_pixel(const ost_depthwise_pixel *pixel): all channels of one output, four at a time,
 * requantised by the narrow stage. A tap is 12 cycles for 4 products, a row of taps 12 more, the end of four channels
 * about 60. Up to 8 taps of a row are unrolled; the row is entered behind those that there are not. */

#if defined(__ARM_FEATURE_DSP) && (__ARM_FEATURE_DSP == 1) && !defined(OST_PLAIN_C)

    .syntax unified
    .thumb

    .equ    TAPS, 8
    .equ    TAP_BYTES, 11 * 4

/* ost_depthwise_pixel; its copy is at the start of the stack frame. */
    .equ    P_FROM, 0
    .equ    P_WEIGHTS, 4
    .equ    P_BIAS, 8
    .equ    P_NARROW, 12
    .equ    P_OUT, 16
    .equ    P_GROUPS, 20
    .equ    P_ROWS, 24
    .equ    P_COLUMNS, 28
    .equ    P_STEP, 32
    .equ    P_WEIGHT_STEP, 36
    .equ    P_ROW_STEP, 40
    .equ    P_WEIGHT_ROW_STEP, 44
    .equ    P_MINUS_ZERO, 48
    .equ    F_ROWS_LEFT, 52
    .equ    F_BYTES, 56

/* r8, r9: input and weights; r2 to r5: sums; r6: minus the zero point, twice. */
    .macro  tap
    ldr.w   r10, [r8]
    ldr.w   r11, [r9]
    ldr.w   r12, [r9, #4]
    sxtab16 lr, r6, r10
    sxtab16 r10, r6, r10, ror #8
    smlabb  r2, lr, r11, r2
    smlatt  r4, lr, r11, r4
    smlabb  r3, r10, r12, r3
    smlatt  r5, r10, r12, r5
    add.w   r8, r8, r0
    add.w   r9, r9, r1
    .endm

/* ost_finish_narrow in place; r9 walks through the stage. */
    .macro  finish sum
    ldmia   r9!, {r10-r12}              /* multiplier, right, rounding */
    lsl     lr, \sum, #1
    smmlar  lr, lr, r10, r12
    add     \sum, lr, \sum, asr #31
    asr     \sum, \sum, r11
    ssat    \sum, #8, \sum
    .endm

    .section .text.ost_conv_s8_depthwise_pixel, "ax", %progbits
    .global ost_conv_s8_depthwise_pixel
    .type   ost_conv_s8_depthwise_pixel, %function
    .thumb_func
    .p2align 3
ost_conv_s8_depthwise_pixel:
    push    {r4-r11, lr}
    sub     sp, sp, #F_BYTES
    mov     r12, sp
    ldmia   r0!, {r1-r7}
    stmia   r12!, {r1-r7}
    ldmia   r0!, {r1-r6}
    stmia   r12!, {r1-r6}
    ldr     r2, [sp, #P_COLUMNS]
    ldr     r6, [sp, #P_MINUS_ZERO]
    rsb     r2, r2, #TAPS               /* taps that are skipped */
    adr.w   r7, 2f
    movs    r3, #TAP_BYTES
    mla     r7, r2, r3, r7
    orr     r7, r7, #1                  /* Thumb */

1:  /* four channels */
    ldr     r0, [sp, #P_BIAS]
    ldr.w   r8, [sp, #P_FROM]
    ldr.w   r9, [sp, #P_WEIGHTS]
    ldr.w   r12, [sp, #P_ROWS]
    ldmia   r0!, {r2-r5}
    str     r0, [sp, #P_BIAS]
    str.w   r12, [sp, #F_ROWS_LEFT]
    ldr     r0, [sp, #P_STEP]
    ldr     r1, [sp, #P_WEIGHT_STEP]
    bx      r7

    .p2align 2
2:  .rept   TAPS
    tap
    .endr
    ldr.w   r10, [sp, #P_ROW_STEP]
    ldr.w   r11, [sp, #P_WEIGHT_ROW_STEP]
    ldr.w   r12, [sp, #F_ROWS_LEFT]
    add     r8, r8, r10
    add     r9, r9, r11
    subs.w  r12, r12, #1
    str.w   r12, [sp, #F_ROWS_LEFT]
    beq     3f
    bx      r7

3:  ldr.w   r9, [sp, #P_NARROW]
    finish  r2
    finish  r3
    finish  r4
    finish  r5
    ldr     r0, [sp, #P_OUT]
    ldr     r1, [sp, #P_FROM]
    ldr.w   r8, [sp, #P_WEIGHTS]
    ldr.w   r10, [sp, #P_GROUPS]
    str.w   r9, [sp, #P_NARROW]
    strb    r2, [r0]
    strb    r3, [r0, #1]
    strb    r4, [r0, #2]
    strb    r5, [r0, #3]
    adds    r0, r0, #4
    adds    r1, r1, #4
    add     r8, r8, #8
    str     r0, [sp, #P_OUT]
    str     r1, [sp, #P_FROM]
    str.w   r8, [sp, #P_WEIGHTS]
    subs.w  r10, r10, #1
    str.w   r10, [sp, #P_GROUPS]
    bne.w   1b
    add     sp, sp, #F_BYTES
    pop     {r4-r11, pc}
    .size   ost_conv_s8_depthwise_pixel, . - ost_conv_s8_depthwise_pixel

#endif

#if defined(__linux__) && defined(__ELF__)
    .section .note.GNU-stack, "", %progbits
#endif
