/* void ost_reuse_hash_pairs_<g>(const ost_hash_pairs *pairs): the signs of g hashes for pairs of vectors.
 *
 * One pass per pair of vectors: offsets to the sums, blocks of 8 words of columns (the first one entered behind the
 * words it does not have), sign bits shifted into ids. Pointers start early by the words that are skipped. */

#if defined(__ARM_FEATURE_DSP) && (__ARM_FEATURE_DSP == 1) && !defined(OST_PLAIN_C)

#include "ost_reuse_products_asm.h"

/* ost_hash_pairs */
    .equ    P_VECTORS, 0
    .equ    P_STEP, 4
    .equ    P_COUNT, 8
    .equ    P_HASHES, 12
    .equ    P_OFFSETS, 16
    .equ    P_WORDS, 20
    .equ    P_IDS, 24
    .equ    P_ID_STEP, 28
    .equ    P_ID_SHIFT, 32
    .equ    P_FLAGS, 36
    .equ    P_ROWS, 40
    .equ    P_SKIP, 44
    .equ    P_ID_SKIP, 48
    .equ    WIDE, 1
    .equ    MERGE, 2
    .equ    SHIFTED, 4          /* ours: the shift is not 0 */

/* The stack frame. */
    .equ    F_OFFSETS, 0
    .equ    F_HASHES, 4
    .equ    F_ENTRY, 8
    .equ    F_BLOCKS_LEFT, 12
    .equ    F_IDS, 16
    .equ    F_ID_STEP, 20
    .equ    F_ID_SHIFT, 24
    .equ    F_FLAGS, 28
    .equ    F_IDS_END, 32       /* of this row */
    .equ    F_ADVANCE, 36       /* from the end of a pair's words to the next pair */
    .equ    F_BLOCKS, 40        /* whole blocks behind the first one */
    .equ    F_ROWS, 44
    .equ    F_SKIP, 48
    .equ    F_ID_SKIP, 52
    .equ    F_ROW_IDS, 56       /* bytes of a row's ids */
    .equ    F_BYTES, 64

    .macro  load_offsets g
    .if \g == 4
    ldmia   r11, {r2, r4, r6, r8}
    mov     r9, r8
    .elseif \g == 3
    ldmia   r11, {r2, r4, r6}
    .elseif \g == 2
    ldmia   r11, {r2, r4}
    .else
    ldr     r2, [r11]
    .endif
    mov     r3, r2
    .if \g >= 2
    mov     r5, r4
    .endif
    .if \g >= 3
    mov     r7, r6
    .endif
    .endm

/* r11, r12: the sign bits of the sums, the first hash on top. */
    .macro  sign_bits g
    lsr     r11, r2, #31
    lsr     r12, r3, #31
    .if \g >= 2
    lsls    r4, r4, #1
    adc     r11, r11, r11
    lsls    r5, r5, #1
    adc     r12, r12, r12
    .endif
    .if \g >= 3
    lsls    r6, r6, #1
    adc     r11, r11, r11
    lsls    r7, r7, #1
    adc     r12, r12, r12
    .endif
    .if \g >= 4
    lsls    r8, r8, #1
    adc     r11, r11, r11
    lsls    r9, r9, #1
    adc     r12, r12, r12
    .endif
    .endm

    .macro  hash_pairs g, products
    .section .text.ost_reuse_hash_pairs_\g, "ax", %progbits
    .global ost_reuse_hash_pairs_\g
    .type   ost_reuse_hash_pairs_\g, %function
    .thumb_func
    .p2align 3
ost_reuse_hash_pairs_\g:
    push    {r4-r11, lr}
    sub     sp, sp, #F_BYTES
    ldr     r2, [r0, #P_OFFSETS]
    ldr     r3, [r0, #P_HASHES]
    ldr     r4, [r0, #P_WORDS]
    ldr     r5, [r0, #P_IDS]
    ldr     r6, [r0, #P_ID_STEP]
    ldr     r7, [r0, #P_ID_SHIFT]
    ldr     r8, [r0, #P_FLAGS]
    ldr     r9, [r0, #P_COUNT]
    ldr     r10, [r0, #P_STEP]
    ldr     r11, [r0, #P_ROWS]
    ldr     r12, [r0, #P_SKIP]
    ldr     lr, [r0, #P_ID_SKIP]
    ldr     r0, [r0, #P_VECTORS]
    str     r11, [sp, #F_ROWS]
    str     r12, [sp, #F_SKIP]
    str     lr, [sp, #F_ID_SKIP]
    str     r2, [sp, #F_OFFSETS]
    str     r5, [sp, #F_IDS]
    str     r6, [sp, #F_ID_STEP]
    str     r7, [sp, #F_ID_SHIFT]
    cmp     r7, #0
    it      ne
    orrne   r8, r8, #SHIFTED
    str     r8, [sp, #F_FLAGS]
    mul     r9, r9, r6
    lsl     r9, r9, #1
    str     r9, [sp, #F_ROW_IDS]
    add     r9, r9, r5
    str     r9, [sp, #F_IDS_END]
    subs    r4, r4, #1
    lsr     r5, r4, #3                  /* blocks behind the first */
    and     r6, r4, #(BLOCK_WORDS - 1)
    rsb     r6, r6, #(BLOCK_WORDS - 1)  /* words the first block skips */
    str     r5, [sp, #F_BLOCKS]
    str     r5, [sp, #F_BLOCKS_LEFT]
    lsl     r7, r10, #1
    sub     r7, r7, r5, lsl #5
    str     r7, [sp, #F_ADVANCE]
    sub     r0, r0, r6, lsl #2
    add     r10, r10, r0
    movs    r7, #(8 * \g)
    mls     r3, r6, r7, r3
    str     r3, [sp, #F_HASHES]
    adr.w   r11, 2f
    movs    r7, #WORD_BYTES_\g
    mla     r11, r6, r7, r11
    orr     r11, r11, #1                /* Thumb */
    str     r11, [sp, #F_ENTRY]

1:  /* a pair */
    ldr.w   r11, [sp, #F_OFFSETS]
    ldr     r1, [sp, #F_HASHES]
    ldr.w   lr, [sp, #F_ENTRY]
    load_offsets \g
    bx      lr

    .p2align 2
2:  products_block \products, 4, r10, 0
    ldr.w   r11, [sp, #F_BLOCKS_LEFT]
    subs.w  r11, r11, #1
    bpl.w   6f

    sign_bits \g
    ldr     r2, [sp, #F_IDS]
    ldr     r3, [sp, #F_ID_STEP]
    ldr     r5, [sp, #F_FLAGS]
    ldr     r6, [sp, #F_IDS_END]
    ldr     r7, [sp, #F_ADVANCE]
    ldr.w   r8, [sp, #F_BLOCKS]
    cbnz    r5, 4f
    strb.w  r11, [r2]
    strb.w  r12, [r2, r3]
3:  add.w   r2, r2, r3, lsl #1
    add     r0, r0, r7
    add     r10, r10, r7
    str.w   r8, [sp, #F_BLOCKS_LEFT]
    str     r2, [sp, #F_IDS]
    cmp     r2, r6
    bne     1b

    ldr     r3, [sp, #F_ROWS]           /* the next row */
    ldr     r4, [sp, #F_SKIP]
    ldr     r5, [sp, #F_ID_SKIP]
    ldr     r6, [sp, #F_ROW_IDS]
    add     r0, r0, r4
    add     r10, r10, r4
    add     r2, r2, r5
    str     r2, [sp, #F_IDS]
    add     r6, r6, r2
    str     r6, [sp, #F_IDS_END]
    subs    r3, r3, #1
    str     r3, [sp, #F_ROWS]
    bne     1b
    add     sp, sp, #F_BYTES
    pop     {r4-r11, pc}

4:  /* wide ids, or bits to be merged, or shifted */
    ldr     r4, [sp, #F_ID_SHIFT]
    lsl     r11, r11, r4
    lsl     r12, r12, r4
    lsls    r9, r5, #31
    bne     5f
    lsls    r9, r5, #30
    ittt    mi
    ldrbmi.w r9, [r2]
    ldrbmi.w lr, [r2, r3]
    orrmi   r11, r11, r9
    it      mi
    orrmi   r12, r12, lr
    strb.w  r11, [r2]
    strb.w  r12, [r2, r3]
    b       3b
5:  lsls    r9, r5, #30
    ittt    mi
    ldrhmi.w r9, [r2]
    ldrhmi.w lr, [r2, r3]
    orrmi   r11, r11, r9
    it      mi
    orrmi   r12, r12, lr
    strh.w  r11, [r2]
    strh.w  r12, [r2, r3]
    b       3b

6:  /* the next block of the same pair */
    str.w   r11, [sp, #F_BLOCKS_LEFT]
    adds    r0, r0, #(4 * BLOCK_WORDS)
    add     r10, r10, #(4 * BLOCK_WORDS)
    add     r1, r1, #(8 * \g * BLOCK_WORDS)
    b.w     2b
    .size   ost_reuse_hash_pairs_\g, . - ost_reuse_hash_pairs_\g
    .endm

    hash_pairs 1, products_1
    hash_pairs 2, products_2
    hash_pairs 3, products_3
    hash_pairs 4, products_4_narrow

#endif

#if defined(__linux__) && defined(__ELF__)
    .section .note.GNU-stack, "", %progbits
#endif
