/* void ost_reuse_window_ids(const ost_id_window *window, const uint8_t *corner, uint8_t *ids): parts copied in whole
 * blocks of 16 bytes, 13 cycles each. Addresses need no alignment. */

#if defined(__ARM_FEATURE_DSP) && (__ARM_FEATURE_DSP == 1) && !defined(OST_PLAIN_C)

    .syntax unified
    .thumb

    .section .text.ost_reuse_window_ids, "ax", %progbits
    .global ost_reuse_window_ids
    .type   ost_reuse_window_ids, %function
    .thumb_func
    .p2align 3
ost_reuse_window_ids:
    push    {r4-r11, lr}
    ldmia   r0, {r3, r4, r8, r9, r10}   /* rows, row step, parts, part step, part bytes */
1:  mov     r11, r8                     /* a row of the kernel */
    mov     r12, r1
2:  mov     r0, r12                     /* a part */
    mov     lr, r10
3:  ldr     r5, [r0, #4]
    ldr     r6, [r0, #8]
    ldr     r7, [r0, #12]
    str     r5, [r2, #4]
    str     r6, [r2, #8]
    str     r7, [r2, #12]
    ldr     r5, [r0], #16
    str     r5, [r2], #16
    subs.w  lr, lr, #16
    bgt     3b
    add     r2, r2, lr                  /* back by what was written too far */
    add     r12, r12, r9
    subs.w  r11, r11, #1
    bne     2b
    add     r1, r1, r4
    subs    r3, r3, #1
    bne     1b
    pop     {r4-r11, pc}
    .size   ost_reuse_window_ids, . - ost_reuse_window_ids

#endif

#if defined(__linux__) && defined(__ELF__)
    .section .note.GNU-stack, "", %progbits
#endif
