/* void ost_reuse_move_pointers(uint32_t *map, int32_t eights, int32_t step): \step is added to 8 * eights addresses,
 * which then are those of the next 16 channels. 26 cycles for 8 and 4 for the loop. */

#if defined(__ARM_FEATURE_DSP) && (__ARM_FEATURE_DSP == 1) && !defined(OST_PLAIN_C)

    .syntax unified
    .thumb

    .section .text.ost_reuse_move_pointers, "ax", %progbits
    .global ost_reuse_move_pointers
    .type   ost_reuse_move_pointers, %function
    .thumb_func
    .p2align 3
ost_reuse_move_pointers:
    push    {r4-r10, lr}
1:  ldmia   r0, {r3-r10}
    add     r3, r3, r2
    add     r4, r4, r2
    add     r5, r5, r2
    add     r6, r6, r2
    add     r7, r7, r2
    add     r8, r8, r2
    add     r9, r9, r2
    add     r10, r10, r2
    stmia   r0!, {r3-r10}
    subs    r1, r1, #1
    bne     1b
    pop     {r4-r10, pc}
    .size   ost_reuse_move_pointers, . - ost_reuse_move_pointers

#endif

#if defined(__linux__) && defined(__ELF__)
    .section .note.GNU-stack, "", %progbits
#endif
