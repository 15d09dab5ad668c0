/* Assembler macros of ost_reuse_map_<layer>(const ost_pointer_map *map): pixels in a row to the addresses of their
 * table rows, all channel blocks of a pixel. Generated code instantiates one of them with the layer's sizes.
 *
 * reuse_pointers_map: H hyperplanes. Two pixels at a time; the second one's columns and addresses are at immediate
 * offsets from the first's, and the words of a block are unrolled: 36 cycles for 4 columns and 4 planes of 2 pixels.
 * reuse_pointers_map_tree: a tree of hyperplanes, one pixel at a time, all levels unrolled. */
#ifndef OST_REUSE_POINTERS_MAP_ASM_H
#define OST_REUSE_POINTERS_MAP_ASM_H

#include "ost_reuse_pointers_step_asm.h"
#include "ost_reuse_products_asm.h"

/* The stack frame. */
    .equ    M_OFFSETS, 0        /* of the block that is next */
    .equ    M_TABLE, 4          /* of this block */
    .equ    M_MAP, 8
    .equ    M_BLOCKS, 12        /* left of this pixel */
    .equ    M_FIRST_OFFSETS, 16
    .equ    M_FIRST_VECTORS, 20
    .equ    M_FIRST_TABLE, 24
    .equ    M_COUNT, 28
    .equ    M_ID0, 32           /* bits of the parts before, of either pixel */
    .equ    M_ID1, 36
    .equ    M_BYTES, 40

/* Saves what the struct holds; r0 = pixels, r1 = vectors. */
    .macro  enter_map
    push    {r4-r11, lr}
    sub     sp, sp, #M_BYTES
    ldmia   r0, {r1-r6}                 /* pixels, offsets, vectors, map, table, count */
    str     r2, [sp, #M_FIRST_OFFSETS]
    str     r3, [sp, #M_FIRST_VECTORS]
    str     r4, [sp, #M_MAP]
    str     r5, [sp, #M_FIRST_TABLE]
    str     r6, [sp, #M_COUNT]
    mov     r0, r1
    .endm

    .macro  start_pixel
    ldr     r2, [sp, #M_FIRST_OFFSETS]
    ldr     r1, [sp, #M_FIRST_VECTORS]
    ldr     r3, [sp, #M_FIRST_TABLE]
    movs    r4, #BLOCKS
    str     r2, [sp, #M_OFFSETS]
    str     r3, [sp, #M_TABLE]
    str     r4, [sp, #M_BLOCKS]
    .endm

    .macro  sign_bit to, sum, first
    .if \first
    lsr     \to, \sum, #31
    .else
    lsls    \sum, \sum, #1
    adc     \to, \to, \to
    .endif
    .endm

/* \g hashes of a part; the sums' signs come to r11 and r12, behind the bits of the parts before. */
    .macro  hash_part g, first, last
    ldr.w   r11, [sp, #M_OFFSETS]
    .if \g == 4
    ldmia   r11!, {r2, r4, r6, r8}
    mov     r9, r8
    .elseif \g == 3
    ldmia   r11!, {r2, r4, r6}
    .elseif \g == 2
    ldmia   r11!, {r2, r4}
    .else
    ldr     r2, [r11], #4
    .endif
    str.w   r11, [sp, #M_OFFSETS]
    mov     r3, r2
    .if \g >= 2
    mov     r5, r4
    .endif
    .if \g >= 3
    mov     r7, r6
    .endif
    .set    word, 0
    .rept   WORDS
    products_\g word, 4, r0, PIXEL_STEP
    .set    word, word + 1
    .endr
    addw    r1, r1, #(8 * \g * WORDS)
    .if \first
    sign_bit r11, r2, 1
    sign_bit r12, r3, 1
    .else
    ldr.w   r11, [sp, #M_ID0]
    ldr.w   r12, [sp, #M_ID1]
    sign_bit r11, r2, 0
    sign_bit r12, r3, 0
    .endif
    .if \g >= 2
    sign_bit r11, r4, 0
    sign_bit r12, r5, 0
    .endif
    .if \g >= 3
    sign_bit r11, r6, 0
    sign_bit r12, r7, 0
    .endif
    .if \g >= 4
    sign_bit r11, r8, 0
    sign_bit r12, r9, 0
    .endif
    .if \last == 0
    str.w   r11, [sp, #M_ID0]
    str.w   r12, [sp, #M_ID1]
    .endif
    .endm

/* parts: 1 to 3 parts of \g0, \g1 and \g2 hashes, as ost_reuse_hash.h splits H. */
    .macro  reuse_pointers_map name, g0, g1, g2
    .section .text.\name, "ax", %progbits
    .global \name
    .type   \name, %function
    .thumb_func
    .p2align 3
\name:
    enter_map
1:  start_pixel
2:  .if \g1 == 0
    hash_part \g0, 1, 1
    .else
    hash_part \g0, 1, 0
    .if \g2 == 0
    hash_part \g1, 0, 1
    .else
    hash_part \g1, 0, 0
    hash_part \g2, 0, 1
    .endif
    .endif
    ldr     r2, [sp, #M_MAP]
    ldr     r3, [sp, #M_TABLE]
    ldr     r4, [sp, #M_BLOCKS]
    movw    r5, #ID_BYTES
    mla     r11, r11, r5, r3
    mla     r12, r12, r5, r3
    str.w   r11, [r2]
    str.w   r12, [r2, #(4 * BLOCKS)]
    adds    r2, r2, #4
    add     r3, r3, r5, lsl #HASHES
    str     r2, [sp, #M_MAP]
    str     r3, [sp, #M_TABLE]
    adds    r0, r0, #LENGTH
    subs    r4, r4, #1
    str     r4, [sp, #M_BLOCKS]
    bne.w   2b
    add     r2, r2, #(4 * BLOCKS)       /* the second pixel is done too */
    ldr     r3, [sp, #M_COUNT]
    next_pixel 2
    str     r2, [sp, #M_MAP]
    subs    r3, r3, #1
    str     r3, [sp, #M_COUNT]
    bne.w   1b
    add     sp, sp, #M_BYTES
    pop     {r4-r11, pc}
    .size   \name, . - \name
    .endm

/* Nodes count from 1, the root. r1, r2: planes and offsets of node 0, which does not exist; r3: the node, then its
 * child. */
    .macro  tree_level words, root
    .if \root
    ldr.w   r12, [r2, #4]
    ldr.w   r8, [r1, #(8 * \words)]
    ldr.w   r9, [r1, #(8 * \words + 4)]
    .if \words == 2
    ldr.w   r10, [r1, #(8 * \words + 8)]
    ldr.w   r11, [r1, #(8 * \words + 12)]
    .endif
    .else
    .if \words == 1
    add     lr, r1, r3, lsl #3
    .else
    add     lr, r1, r3, lsl #4
    .endif
    ldr.w   r12, [r2, r3, lsl #2]
    ldr.w   r8, [lr]
    ldr.w   r9, [lr, #4]
    .if \words == 2
    ldr.w   r10, [lr, #8]
    ldr.w   r11, [lr, #12]
    .endif
    .endif
    smlad   r12, r4, r8, r12
    smlad   r12, r5, r9, r12
    .if \words == 2
    smlad   r12, r6, r10, r12
    smlad   r12, r7, r11, r12
    .endif
    .if \root
    mov     r3, #2
    orr     r3, r3, r12, lsr #31
    .else
    lsls    r12, r12, #1
    adc     r3, r3, r3
    .endif
    .endm

    .macro  tree_product held, at, root
    .if \root
    ldr.w   lr, [r1, #(32 + \at)]
    .else
    ldr.w   lr, [r0, #\at]
    .endif
    smlad   r12, \held, lr, r12
    .endm

/* Four words: all of r4 to r11 hold the vector, and r0 is free until it is read again. */
    .macro  tree_level_4 root
    .if \root
    ldr.w   r12, [r2, #4]
    .else
    add.w   r0, r1, r3, lsl #5
    ldr.w   r12, [r2, r3, lsl #2]
    .endif
    tree_product r4, 0, \root
    tree_product r5, 4, \root
    tree_product r6, 8, \root
    tree_product r7, 12, \root
    tree_product r8, 16, \root
    tree_product r9, 20, \root
    tree_product r10, 24, \root
    tree_product r11, 28, \root
    .if \root
    mov     r3, #2
    orr     r3, r3, r12, lsr #31
    .else
    lsls    r12, r12, #1
    adc     r3, r3, r3
    .endif
    .endm

    .macro  reuse_pointers_map_tree name
    .section .text.\name, "ax", %progbits
    .global \name
    .type   \name, %function
    .thumb_func
    .p2align 3
\name:
    enter_map
1:  start_pixel
    subs    r2, r2, #4
    sub     r1, r1, #(8 * WORDS)
2:  /* a block */
    .if WORDS == 1
    ldr     r4, [r0]
    .elseif WORDS == 2
    ldr     r4, [r0]
    ldr     r6, [r0, #4]
    .else
    ldr     r4, [r0]
    ldr     r6, [r0, #4]
    ldr.w   r8, [r0, #8]
    ldr.w   r10, [r0, #12]
    str     r0, [sp, #M_ID0]
    .endif
    sxtb16  r5, r4, ror #8
    sxtb16  r4, r4
    .if WORDS >= 2
    sxtb16  r7, r6, ror #8
    sxtb16  r6, r6
    .endif
    .if WORDS == 4
    sxtb16  r9, r8, ror #8
    sxtb16  r8, r8
    sxtb16  r11, r10, ror #8
    sxtb16  r10, r10
    tree_level_4 1
    .rept   HASHES - 1
    tree_level_4 0
    .endr
    ldr     r0, [sp, #M_ID0]
    .else
    tree_level WORDS, 1
    .rept   HASHES - 1
    tree_level WORDS, 0
    .endr
    .endif
    ldr     r4, [sp, #M_MAP]
    ldr     r5, [sp, #M_TABLE]
    ldr     r6, [sp, #M_BLOCKS]
    movw    r7, #ID_BYTES
    sub     r3, r3, #(1 << HASHES)
    mla     r3, r3, r7, r5
    add     r5, r5, r7, lsl #HASHES
    str     r5, [sp, #M_TABLE]
    str     r3, [r4]
    adds    r4, r4, #4
    str     r4, [sp, #M_MAP]
    adds    r0, r0, #LENGTH
    addw    r2, r2, #(4 * ((1 << HASHES) - 1))
    addw    r1, r1, #(8 * WORDS * ((1 << HASHES) - 1))
    subs    r6, r6, #1
    str     r6, [sp, #M_BLOCKS]
    bne.w   2b
    next_pixel 1
    ldr     r3, [sp, #M_COUNT]
    subs    r3, r3, #1
    str     r3, [sp, #M_COUNT]
    bne.w   1b
    add     sp, sp, #M_BYTES
    pop     {r4-r11, pc}
    .size   \name, . - \name
    .endm

#endif /* OST_REUSE_POINTERS_MAP_ASM_H */
