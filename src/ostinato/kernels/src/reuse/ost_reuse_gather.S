/* void ost_reuse_gather_word(const ost_gather *gather): four loads of bytes in a row, three to put them together. 15
 * cycles a word; compilers spread the loads, which doubles their time. The plain twin is in ost_reuse_slices.c. */

#if defined(__ARM_FEATURE_DSP) && (__ARM_FEATURE_DSP == 1) && !defined(OST_PLAIN_C)

    .syntax unified
    .thumb

    .section .text.ost_reuse_gather_word, "ax", %progbits
    .global ost_reuse_gather_word
    .type   ost_reuse_gather_word, %function
    .thumb_func
    .p2align 3
ost_reuse_gather_word:
    push    {r4-r11, lr}
    ldmia   r0, {r4-r9}                 /* corner, offsets, to, step, pitch, count */
    ldmia   r5, {r0-r3}
    movs    r5, #0                      /* from the first corner */
    add     r0, r0, r4
    add     r1, r1, r4
    add     r2, r2, r4
    add     r3, r3, r4
1:  ldrb    r4, [r0, r5]
    ldrb.w  r10, [r1, r5]
    ldrb.w  r11, [r2, r5]
    ldrb.w  r12, [r3, r5]
    orr     r4, r4, r10, lsl #8
    orr     r11, r11, r12, lsl #8
    orr     r4, r4, r11, lsl #16
    str     r4, [r6]
    add     r5, r5, r7
    add     r6, r6, r8
    subs.w  r9, r9, #1
    bne     1b
    pop     {r4-r11, pc}
    .size   ost_reuse_gather_word, . - ost_reuse_gather_word

#endif

#if defined(__linux__) && defined(__ELF__)
    .section .note.GNU-stack, "", %progbits
#endif
