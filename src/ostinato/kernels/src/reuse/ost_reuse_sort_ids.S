/* The two loops of ost_reuse_sort_ids.h, four ids at a time. */

#if defined(__ARM_FEATURE_DSP) && (__ARM_FEATURE_DSP == 1) && !defined(OST_PLAIN_C)

    .syntax unified
    .thumb

/* r4-r7: four ids; r0 advances. */
    .macro  load_ids
    ldrb    r4, [r0]
    ldrb    r5, [r0, r1]
    ldrb.w  r6, [r0, r1, lsl #1]
    add     r0, r0, r1, lsl #1
    ldrb    r7, [r0, r1]
    add     r0, r0, r1, lsl #1
    .endm

    .macro  count id
    ldrb.w  r12, [r3, \id]
    add     r12, r12, #1
    strb.w  r12, [r3, \id]
    .endm

    .section .text.ost_reuse_count_ids, "ax", %progbits
    .global ost_reuse_count_ids
    .type   ost_reuse_count_ids, %function
    .thumb_func
    .p2align 3
ost_reuse_count_ids:
    push    {r4-r7, lr}
    ldmia   r0, {r0, r1, r2, r3}        /* ids, id step, count, next */
    subs    r2, r2, #4
    blt     2f
1:  load_ids
    count   r4
    count   r5
    count   r6
    count   r7
    subs    r2, r2, #4
    bge     1b
2:  adds    r2, r2, #4
    beq     4f
3:  ldrb    r4, [r0]
    add     r0, r0, r1
    count   r4
    subs    r2, r2, #1
    bne     3b
4:  pop     {r4-r7, pc}
    .size   ost_reuse_count_ids, . - ost_reuse_count_ids

    .macro  place id
    ldrb.w  r12, [r3, \id]
    strh.w  r9, [r8, r12, lsl #1]
    add     r12, r12, #1
    strb.w  r12, [r3, \id]
    add     r9, r9, r10
    .endm

    .section .text.ost_reuse_place_ids, "ax", %progbits
    .global ost_reuse_place_ids
    .type   ost_reuse_place_ids, %function
    .thumb_func
    .p2align 3
ost_reuse_place_ids:
    push    {r4-r11, lr}
    ldr.w   r8, [r0, #16]               /* offsets */
    ldr.w   r9, [r0, #20]               /* at */
    ldr.w   r10, [r0, #24]              /* step */
    ldr.w   r11, [r0, #28]              /* rows */
    ldr.w   lr, [r0, #32]               /* skip */
    ldmia   r0, {r0, r1, r2, r3}        /* ids, id step, count, next */
    push    {r2, lr}
1:  subs    r2, r2, #4                  /* a row */
    blt     3f
2:  load_ids
    place   r4
    place   r5
    place   r6
    place   r7
    subs    r2, r2, #4
    bge     2b
3:  adds    r2, r2, #2
    blt     4f
    ldrb    r4, [r0]
    ldrb    r5, [r0, r1]
    add     r0, r0, r1, lsl #1
    place   r4
    place   r5
    subs    r2, r2, #2
4:  cmp     r2, #-2
    beq     5f
    ldrb    r4, [r0]
    add     r0, r0, r1
    place   r4
5:  ldrd    r2, lr, [sp]
    add     r9, r9, lr
    subs.w  r11, r11, #1
    bne     1b
    add     sp, sp, #8
    pop     {r4-r11, pc}
    .size   ost_reuse_place_ids, . - ost_reuse_place_ids

#endif

#if defined(__linux__) && defined(__ELF__)
    .section .note.GNU-stack, "", %progbits
#endif
