/* void ost_reuse_tree_walk_<w>(const ost_tree_walk *walk): vectors of w words down a tree of hyperplanes.
 *
 * The vector stays in registers; a level is 8, 12 or 20 instructions and 9, 13 or 29 cycles for 1, 2 or 4 words. Levels
 * are unrolled, entered behind those that the tree does not have; the sign bit is shifted into the node's number. */

#if defined(__ARM_FEATURE_DSP) && (__ARM_FEATURE_DSP == 1) && !defined(OST_PLAIN_C)

    .syntax unified
    .thumb

    .equ    LEVELS, 8

/* ost_tree_walk */
    .equ    P_VECTORS, 0
    .equ    P_STEP, 4
    .equ    P_COUNT, 8
    .equ    P_OFFSETS, 12
    .equ    P_PLANES, 16
    .equ    P_IDS, 20
    .equ    P_ID_STEP, 24
    .equ    P_ID_SHIFT, 28
    .equ    P_LEVELS, 32
    .equ    P_WIDE, 36

/* The stack frame. */
    .equ    F_ENTRY, 0
    .equ    F_VECTOR, 4
    .equ    F_STEP, 8
    .equ    F_COUNT, 12
    .equ    F_IDS, 16
    .equ    F_ID_STEP, 20
    .equ    F_ID_SHIFT, 24
    .equ    F_LEAVES, 28        /* 2^H, the number of the first leaf */
    .equ    F_WIDE, 32
    .equ    F_BYTES, 40

    .equ    LEVEL_BYTES_1, 8 * 4
    .equ    LEVEL_BYTES_2, 12 * 4
    .equ    LEVEL_BYTES_4, 20 * 4
    .equ    LOG2_PLANE_1, 3
    .equ    LOG2_PLANE_2, 4
    .equ    LOG2_PLANE_4, 5

/* r3: the node, then its child; r1, r2: offsets and planes of node 0, which does not exist. */
    .macro  level_1
    add     lr, r2, r3, lsl #3
    ldr.w   r12, [r1, r3, lsl #2]
    ldr.w   r8, [lr]
    ldr.w   r9, [lr, #4]
    smlad   r12, r4, r8, r12
    smlad   r12, r5, r9, r12
    lsls.w  r12, r12, #1
    adc.w   r3, r3, r3
    .endm

    .macro  level_2
    add     lr, r2, r3, lsl #4
    ldr.w   r12, [r1, r3, lsl #2]
    ldr.w   r8, [lr]
    ldr.w   r9, [lr, #4]
    ldr.w   r10, [lr, #8]
    ldr.w   r11, [lr, #12]
    smlad   r12, r4, r8, r12
    smlad   r12, r5, r9, r12
    smlad   r12, r6, r10, r12
    smlad   r12, r7, r11, r12
    lsls.w  r12, r12, #1
    adc.w   r3, r3, r3
    .endm

    .macro  product_4 held, at
    ldr.w   lr, [r0, #\at]
    smlad   r12, \held, lr, r12
    .endm

    .macro  level_4
    add.w   r0, r2, r3, lsl #5
    ldr.w   r12, [r1, r3, lsl #2]
    product_4 r4, 0
    product_4 r5, 4
    product_4 r6, 8
    product_4 r7, 12
    product_4 r8, 16
    product_4 r9, 20
    product_4 r10, 24
    product_4 r11, 28
    lsls.w  r12, r12, #1
    adc.w   r3, r3, r3
    .endm

    .macro  tree_walk words
    .section .text.ost_reuse_tree_walk_\words, "ax", %progbits
    .global ost_reuse_tree_walk_\words
    .type   ost_reuse_tree_walk_\words, %function
    .thumb_func
    .p2align 3
ost_reuse_tree_walk_\words:
    push    {r4-r11, lr}
    sub     sp, sp, #F_BYTES
    ldmia   r0!, {r1-r8}                /* vectors ... id_shift; offsets r4, planes r5, ids r6, id_step r7 */
    str     r1, [sp, #F_VECTOR]
    str     r2, [sp, #F_STEP]
    str     r3, [sp, #F_COUNT]
    str     r6, [sp, #F_IDS]
    str     r7, [sp, #F_ID_STEP]
    str.w   r8, [sp, #F_ID_SHIFT]
    ldmia   r0, {r6, r7}                /* levels, wide */
    str     r7, [sp, #F_WIDE]
    movs    r7, #1
    lsls    r7, r7, r6
    str     r7, [sp, #F_LEAVES]
    rsb     r6, r6, #LEVELS             /* levels that are skipped */
    adr.w   r11, 2f
    movs    r7, #LEVEL_BYTES_\words
    mla     r11, r6, r7, r11
    orr     r11, r11, #1                /* Thumb */
    str.w   r11, [sp, #F_ENTRY]
    mov     r0, r1
    subs    r1, r4, #4
    sub     r2, r5, #(8 * \words)

1:  /* a vector */
    ldr.w   r4, [r0]
    .if \words >= 2
    ldr.w   r6, [r0, #4]
    .endif
    .if \words == 4
    ldr.w   r8, [r0, #8]
    ldr.w   r10, [r0, #12]
    .endif
    ldr.w   lr, [sp, #F_ENTRY]
    movs    r3, #1
    sxtb16  r5, r4, ror #8
    sxtb16  r4, r4
    .if \words >= 2
    sxtb16  r7, r6, ror #8
    sxtb16  r6, r6
    .endif
    .if \words == 4
    sxtb16  r9, r8, ror #8
    sxtb16  r8, r8
    sxtb16  r11, r10, ror #8
    sxtb16  r10, r10
    .endif
    bx      lr

    .p2align 2
2:  .rept   LEVELS
    level_\words
    .endr
    ldr     r4, [sp, #F_LEAVES]
    ldr     r5, [sp, #F_ID_SHIFT]
    ldr     r6, [sp, #F_IDS]
    ldr     r7, [sp, #F_ID_STEP]
    ldr     r0, [sp, #F_VECTOR]
    ldr.w   r8, [sp, #F_STEP]
    ldr.w   r9, [sp, #F_COUNT]
    subs    r3, r3, r4
    ldr     r4, [sp, #F_WIDE]
    lsls    r3, r3, r5
    add     r0, r0, r8
    cbnz    r4, 4f
    strb    r3, [r6]
3:  add     r6, r6, r7
    str     r0, [sp, #F_VECTOR]
    str     r6, [sp, #F_IDS]
    subs.w  r9, r9, #1
    str.w   r9, [sp, #F_COUNT]
    bne.w   1b
    add     sp, sp, #F_BYTES
    pop     {r4-r11, pc}
4:  strh    r3, [r6]
    b       3b
    .size   ost_reuse_tree_walk_\words, . - ost_reuse_tree_walk_\words
    .endm

    tree_walk 1
    tree_walk 2
    tree_walk 4

#endif

#if defined(__linux__) && defined(__ELF__)
    .section .note.GNU-stack, "", %progbits
#endif
