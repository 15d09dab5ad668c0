/* Assembler macro of ost_reuse_map_<layer>(const ost_pointer_map *map) for a tree of thresholds: two pixels in a row at a
 * time, all channel blocks of them, all levels unrolled. 7 cycles for a level and 8 beside them for each vector. */
#ifndef OST_REUSE_POINTERS_CUT_ASM_H
#define OST_REUSE_POINTERS_CUT_ASM_H

#include "ost_reuse_pointers_step_asm.h"
#include "ost_reuse_thresholds_asm.h"

/* The stack frame. */
    .equ    C_NODES, 0
    .equ    C_TABLE, 4
    .equ    C_COUNT, 8
    .equ    C_BYTES, 12

    .macro  reuse_pointers_map_cut name
    .section .text.\name, "ax", %progbits
    .global \name
    .type   \name, %function
    .thumb_func
    .p2align 3
\name:
    push    {r4-r11, lr}
    sub     sp, sp, #C_BYTES
    ldmia   r0, {r1-r6}                 /* pixels, offsets, nodes, map, table, count */
    movw    r12, #ID_BYTES
    sub     r5, r5, r12, lsl #HASHES    /* the leaves count from 2^H */
    subs    r3, r3, #2
    str     r3, [sp, #C_NODES]
    str     r5, [sp, #C_TABLE]
    str     r6, [sp, #C_COUNT]
    mov     r0, r1
    mov     r9, r4
1:  ldr     r1, [sp, #C_NODES]
    ldr.w   r10, [sp, #C_TABLE]
    mov     r11, #BLOCKS
    addw    r2, r0, #PIXEL_STEP
    .p2align 2
2:  movs    r3, #1
    movs    r4, #1
    .rept   HASHES
    threshold_level
    .endr
    mla     r3, r3, r12, r10
    mla     r4, r4, r12, r10
    str.w   r3, [r9]
    str.w   r4, [r9, #(4 * BLOCKS)]
    add     r9, r9, #4
    add     r10, r10, r12, lsl #HASHES
    add     r0, r0, #LENGTH
    add     r2, r2, #LENGTH
    addw    r1, r1, #(2 * ((1 << HASHES) - 1))
    subs.w  r11, r11, #1
    bne.w   2b
    addw    r9, r9, #(4 * BLOCKS)       /* the second pixel is done too */
    ldr     r3, [sp, #C_COUNT]
    next_pixel 2
    subs    r3, r3, #1
    str     r3, [sp, #C_COUNT]
    bne.w   1b
    add     sp, sp, #C_BYTES
    pop     {r4-r11, pc}
    .size   \name, . - \name
    .endm

#endif /* OST_REUSE_POINTERS_CUT_ASM_H */
