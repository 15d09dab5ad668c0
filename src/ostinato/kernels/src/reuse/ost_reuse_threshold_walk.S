/* void ost_reuse_threshold_walk(const ost_threshold_walk *walk), see ost_reuse_thresholds.h. All levels are unrolled and
 * entered behind those that there are not. */

#if defined(__ARM_FEATURE_DSP) && (__ARM_FEATURE_DSP == 1) && !defined(OST_PLAIN_C)

#include "ost_reuse_thresholds_asm.h"

    .equ    LEVELS, 12

/* The stack frame. */
    .equ    W_LEAVES, 0         /* 2^H: the first leaf */
    .equ    W_SHIFT, 4
    .equ    W_WIDE, 8
    .equ    W_BYTES, 12

    .section .text.ost_reuse_threshold_walk, "ax", %progbits
    .global ost_reuse_threshold_walk
    .type   ost_reuse_threshold_walk, %function
    .thumb_func
    .p2align 3
ost_reuse_threshold_walk:
    push    {r4-r11, lr}
    sub     sp, sp, #W_BYTES
    ldmia   r0, {r0-r8}                 /* vectors, step, nodes, ids, id_step, id_shift, levels, wide, pairs */
    mov     r9, r1                      /* step */
    mov     r10, r3                     /* ids */
    mov     r11, r4                     /* id_step */
    mov     lr, r8                      /* pairs */
    str     r5, [sp, #W_SHIFT]
    str     r7, [sp, #W_WIDE]
    movs    r5, #1
    lsls    r5, r5, r6
    str     r5, [sp, #W_LEAVES]
    rsb     r6, r6, #LEVELS
    adr.w   r12, 2f
    movs    r7, #THRESHOLD_LEVEL_BYTES
    mla     r12, r6, r7, r12
    orr     r12, r12, #1                /* Thumb */
    subs    r1, r2, #2
    add.w   r2, r0, r9

1:  movs    r3, #1
    movs    r4, #1
    bx      r12

    .p2align 2
2:  .rept   LEVELS
    threshold_level
    .endr
    ldr     r5, [sp, #W_LEAVES]
    ldr     r6, [sp, #W_SHIFT]
    ldr     r7, [sp, #W_WIDE]
    subs    r3, r3, r5
    subs    r4, r4, r5
    lsls    r3, r3, r6
    lsls    r4, r4, r6
    cbnz    r7, 4f
    strb.w  r3, [r10]
    add     r10, r10, r11
    strb.w  r4, [r10]
3:  add     r10, r10, r11
    add.w   r0, r2, r9
    add.w   r2, r0, r9
    subs.w  lr, lr, #1
    bne.w   1b
    add     sp, sp, #W_BYTES
    pop     {r4-r11, pc}
4:  strh.w  r3, [r10]
    add     r10, r10, r11
    strh.w  r4, [r10]
    b       3b
    .size   ost_reuse_threshold_walk, . - ost_reuse_threshold_walk

#endif

#if defined(__linux__) && defined(__ELF__)
    .section .note.GNU-stack, "", %progbits
#endif
