/* void ost_reuse_sum_members_<w>(const ost_sum_members *sum): w words (4w columns) of all vectors, the sums of a cluster in
 * registers. Four words cost 21 cycles a vector and 34 a cluster. */

#if defined(__ARM_FEATURE_DSP) && (__ARM_FEATURE_DSP == 1) && !defined(OST_PLAIN_C)

    .syntax unified
    .thumb

/* The stack frame. */
    .equ    F_CLUSTERS, 0
    .equ    F_END, 4
    .equ    F_SUMS, 8
    .equ    F_PITCH, 12
    .equ    F_AT, 16            /* the sums of this cluster */
    .equ    F_BYTES, 24

/* The sums at r3 to registers, or back. */
    .macro  all_sums move, words
    .if \words == 1
    \move  r3, {r4-r5}
    .elseif \words == 2
    \move  r3, {r4-r7}
    .elseif \words == 3
    \move  r3, {r4-r9}
    .else
    \move  r3, {r4-r11}
    .endif
    .endm

    .macro  sum_members words
    .section .text.ost_reuse_sum_members_\words, "ax", %progbits
    .global ost_reuse_sum_members_\words
    .type   ost_reuse_sum_members_\words, %function
    .thumb_func
    .p2align 3
ost_reuse_sum_members_\words:
    push    {r4-r11, lr}
    sub     sp, sp, #F_BYTES
    ldmia   r0, {r1, r2, r3, r4, r5, r6}    /* vectors, offsets, clusters, end, sums, pitch */
    mov     r0, r2
    mov     r2, r3
    str     r4, [sp, #F_END]
    str     r5, [sp, #F_SUMS]
    str     r6, [sp, #F_PITCH]

1:  /* a cluster */
    ldrb    r3, [r2]
    ldrb.w  r12, [r2, #1]
    ldr.w   lr, [sp, #F_SUMS]
    ldr     r4, [sp, #F_PITCH]
    adds    r2, r2, #2
    str     r2, [sp, #F_CLUSTERS]
    mla     r3, r3, r4, lr
    mov     r2, r12
    str     r3, [sp, #F_AT]
    all_sums ldmia, \words

2:  /* a vector */
    ldrh    lr, [r0], #2
    add     lr, lr, r1
    ldr     r3, [lr]
    .if \words >= 2
    ldr.w   r12, [lr, #4]
    .endif
    sxtab16 r4, r4, r3
    sxtab16 r5, r5, r3, ror #8
    .if \words >= 2
    sxtab16 r6, r6, r12
    sxtab16 r7, r7, r12, ror #8
    .endif
    .if \words >= 3
    ldr     r3, [lr, #8]
    .if \words == 4
    ldr.w   r12, [lr, #12]
    .endif
    sxtab16 r8, r8, r3
    sxtab16 r9, r9, r3, ror #8
    .endif
    .if \words == 4
    sxtab16 r10, r10, r12
    sxtab16 r11, r11, r12, ror #8
    .endif
    subs    r2, r2, #1
    bne     2b

    ldr     r3, [sp, #F_AT]
    ldr     r2, [sp, #F_CLUSTERS]
    all_sums stmia, \words
    ldr     r3, [sp, #F_END]
    cmp     r2, r3
    bne     1b
    add     sp, sp, #F_BYTES
    pop     {r4-r11, pc}
    .size   ost_reuse_sum_members_\words, . - ost_reuse_sum_members_\words
    .endm

    sum_members 1
    sum_members 2
    sum_members 3
    sum_members 4

#endif

#if defined(__linux__) && defined(__ELF__)
    .section .note.GNU-stack, "", %progbits
#endif
