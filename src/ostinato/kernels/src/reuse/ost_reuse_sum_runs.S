/* void ost_reuse_sum_runs_<w>(const ost_sum_runs *sum): w words (4w columns) of all vectors, the sums of a run of equal
 * ids in registers. Four words cost 18 cycles a vector and 30 a run. */

#if defined(__ARM_FEATURE_DSP) && (__ARM_FEATURE_DSP == 1) && !defined(OST_PLAIN_C)

    .syntax unified
    .thumb

/* The stack frame. */
    .equ    F_RUNS, 0
    .equ    F_END, 4
    .equ    F_SUMS, 8
    .equ    F_PITCH, 12
    .equ    F_AT, 16            /* the sums of this run */
    .equ    F_SKIP, 20
    .equ    F_BYTES, 24

    .macro  sum_runs words
    .section .text.ost_reuse_sum_runs_\words, "ax", %progbits
    .global ost_reuse_sum_runs_\words
    .type   ost_reuse_sum_runs_\words, %function
    .thumb_func
    .p2align 3
ost_reuse_sum_runs_\words:
    push    {r4-r11, lr}
    sub     sp, sp, #F_BYTES
    ldr     r6, [r0, #24]
    ldmia   r0, {r0, r1, r2, r3, r4, r5}    /* vectors, step, runs, end, sums, pitch */
    str     r6, [sp, #F_SKIP]
    str     r3, [sp, #F_END]
    str     r4, [sp, #F_SUMS]
    str     r5, [sp, #F_PITCH]
    str     r2, [sp, #F_RUNS]
    b       3f

1:  /* a run */
    ldrb    r3, [r2]
    ldrb.w  r12, [r2, #1]
    ldr.w   lr, [sp, #F_SUMS]
    ldr     r4, [sp, #F_PITCH]
    adds    r2, r2, #2
    str     r2, [sp, #F_RUNS]
    mla     r3, r3, r4, lr
    movs    r2, r12
    beq.w   4f
    str     r3, [sp, #F_AT]
    .if \words == 1
    ldmia   r3, {r4-r5}
    .elseif \words == 2
    ldmia   r3, {r4-r7}
    .elseif \words == 3
    ldmia   r3, {r4-r9}
    .else
    ldmia   r3, {r4-r11}
    .endif

2:  /* a vector; the pointer advances behind its last use */
    .if \words == 1
    ldr.w   r12, [r0]
    .elseif \words == 2
    ldr.w   r3, [r0]
    ldr.w   r12, [r0, #4]
    .else
    ldr.w   r3, [r0]
    ldr.w   r12, [r0, #4]
    ldr.w   lr, [r0, #8]
    .endif
    .if \words >= 2
    sxtab16 r4, r4, r3
    sxtab16 r5, r5, r3, ror #8
    .if \words == 4
    ldr.w   r3, [r0, #12]
    .endif
    sxtab16 r6, r6, r12
    sxtab16 r7, r7, r12, ror #8
    .else
    sxtab16 r4, r4, r12
    sxtab16 r5, r5, r12, ror #8
    .endif
    .if \words >= 3
    sxtab16 r8, r8, lr
    sxtab16 r9, r9, lr, ror #8
    .endif
    .if \words == 4
    sxtab16 r10, r10, r3
    sxtab16 r11, r11, r3, ror #8
    .endif
    add     r0, r0, r1
    subs    r2, r2, #1
    bne     2b

    ldr     r3, [sp, #F_AT]
    ldr     r2, [sp, #F_RUNS]
    .if \words == 1
    stmia   r3, {r4-r5}
    .elseif \words == 2
    stmia   r3, {r4-r7}
    .elseif \words == 3
    stmia   r3, {r4-r9}
    .else
    stmia   r3, {r4-r11}
    .endif
3:  ldr     r3, [sp, #F_END]
    cmp     r2, r3
    bne     1b
    add     sp, sp, #F_BYTES
    pop     {r4-r11, pc}

4:  /* the next row of vectors */
    ldr     r4, [sp, #F_SKIP]
    ldr     r2, [sp, #F_RUNS]
    add     r0, r0, r4
    b       3b
    .size   ost_reuse_sum_runs_\words, . - ost_reuse_sum_runs_\words
    .endm

    sum_runs 1
    sum_runs 2
    sum_runs 3
    sum_runs 4

#endif

#if defined(__linux__) && defined(__ELF__)
    .section .note.GNU-stack, "", %progbits
#endif
