/* Sums of table rows for Cortex-M4/M7 (ost_stem_sum.h): 16 channels in 8 int16 x 2 accumulators.
 *
 * 8 pairs of rows are unrolled and entered behind the pairs that there are not. The ids of two rows are one load; the
 * last load of a pair fetches the next ids, also those of the next output (4 bytes behind the last ids are read). A
 * pair of rows takes 30 cycles; added by SADD8 before they are widened, 27. An odd last row follows the pairs. */

#if defined(__ARM_FEATURE_DSP) && (__ARM_FEATURE_DSP == 1) && !defined(OST_PLAIN_C)

    .syntax unified
    .thumb

/* The stack frame: the 8 words that sums start from, then */
    .equ    S_OUT, 32
    .equ    S_STEP, 36
    .equ    S_END, 40
    .equ    S_ENTRY, 44
    .equ    S_AFTER, 48         /* where the pairs are left to: an odd last row, or the end of an output */
    .equ    S_FINISH, 52
    .equ    S_BYTES, 60

    .equ    PAIRS, 8

/* r2, r3: addresses of the two rows that r2 has the ids of. */
    .macro  addresses
    uxtah   r3, r1, r2, ror #16
    uxtah   r2, r1, r2
    .endm

/* One word of a row to two accumulators. */
    .macro  add_word even, odd, word
    sxtab16 \even, \even, \word
    sxtab16 \odd, \odd, \word, ror #8
    .endm

/* A row's last word takes the place of its address. */
    .macro  two_rows
    ldr.w   r12, [r3]
    ldr.w   lr, [r3, #4]
    add_word r4, r5, r12
    add_word r6, r7, lr
    ldr.w   r12, [r3, #8]
    ldr.w   r3, [r3, #12]
    ldr.w   lr, [r2]
    add_word r8, r9, r12
    add_word r10, r11, r3
    add_word r4, r5, lr
    ldr.w   r12, [r2, #4]
    ldr.w   lr, [r2, #8]
    ldr.w   r3, [r2, #12]
    ldr.w   r2, [r0], #4
    add_word r6, r7, r12
    add_word r8, r9, lr
    add_word r10, r11, r3
    addresses
    .endm

    .macro  paired_words even, odd, at
    ldr.w   r12, [r2, #\at]
    ldr.w   lr, [r3, #\at]
    sadd8   r12, r12, lr
    add_word \even, \odd, r12
    .endm

    .macro  paired_rows
    paired_words r4, r5, 0
    paired_words r6, r7, 4
    paired_words r8, r9, 8
    ldr.w   r12, [r2, #12]
    ldr.w   lr, [r3, #12]
    ldr.w   r2, [r0], #4
    sadd8   r12, r12, lr
    add_word r10, r11, r12
    addresses
    .endm

/* Saturates, packs and stores an output; \again is the start of the next one. Sums are in the order 0 2 1 3 of every 4
 * channels: even ones come to bytes 0 and 2, odd ones to 1 and 3, and SEL takes either, by the flags of UADD8. */
    .macro  pack_word to, even, odd, bits
    .if \bits
    lsr     \even, \even, #\bits
    .else
    mov.w   \even, \even               /* all the same length */
    .endif
    lsl     \odd, \odd, #(8 - \bits)
    sel     \to, \even, \odd
    .endm

    .macro  finish bits, again
    mov     r12, #0x00ff00ff
    ssat16  r4, #(8 + \bits), r4
    ssat16  r5, #(8 + \bits), r5
    ssat16  r6, #(8 + \bits), r6
    ssat16  r7, #(8 + \bits), r7
    ssat16  r8, #(8 + \bits), r8
    ssat16  r9, #(8 + \bits), r9
    ssat16  r10, #(8 + \bits), r10
    ssat16  r11, #(8 + \bits), r11
    uadd8   r12, r12, r12
    pack_word r4, r4, r5, \bits
    pack_word r5, r6, r7, \bits
    pack_word r6, r8, r9, \bits
    pack_word r7, r10, r11, \bits
    ldr.w   r12, [sp, #S_OUT]
    ldr.w   lr, [sp, #S_STEP]
    ldr.w   r11, [sp, #S_END]
    str.w   r4, [r12]
    str.w   r5, [r12, #4]
    str.w   r6, [r12, #8]
    str.w   r7, [r12, #12]
    add.w   r12, r12, lr
    str.w   r12, [sp, #S_OUT]
    cmp.w   r0, r11
    bne.w   \again
    add     sp, sp, #S_BYTES
    pop     {r4-r11, pc}
    .endm
    .equ    FINISH_BYTES, 35 * 4 - 2

/* pair_bytes: code of one pair. */
    .macro  stem_sum name, pair, pair_bytes
    .section .text.\name, "ax", %progbits
    .global \name
    .type   \name, %function
    .thumb_func
    .p2align 3
\name:
    push    {r4-r11, lr}
    sub     sp, sp, #S_BYTES
    ldmia   r0, {r0-r7}                 /* ids, table, offset, out, step, end, rows, fraction bits */
    str     r3, [sp, #S_OUT]
    str     r4, [sp, #S_STEP]
    adds    r5, r5, #4                  /* the loop is one load ahead */
    str     r5, [sp, #S_END]
    adr.w   r8, 4f
    mov     r10, #FINISH_BYTES
    mla     r8, r7, r10, r8
    orr     r8, r8, #1                  /* Thumb */
    str.w   r8, [sp, #S_FINISH]
    lsrs    r6, r6, #1                  /* pairs */
    itt     cs
    adrcs   r8, 3f
    orrcs   r8, r8, #1
    str.w   r8, [sp, #S_AFTER]
    rsb     r9, r6, #PAIRS
    mov     r10, #\pair_bytes
    adr.w   r8, 2f
    mla     r8, r9, r10, r8
    orr     r8, r8, #1
    str.w   r8, [sp, #S_ENTRY]
    ldmia   r2, {r4-r11}
    stmia   sp, {r4-r11}
    ldr     r2, [r0], #4
    addresses

    .p2align 2
1:  ldr.w   r12, [sp, #S_ENTRY]
    ldmia.w sp, {r4-r11}
    bx      r12

    .p2align 2
2:  .rept   PAIRS
    \pair
    .endr
    ldr.w   r12, [sp, #S_AFTER]
    bx      r12

    .p2align 2
3:  ldr.w   r12, [r2]                   /* an odd last row */
    ldr.w   lr, [r2, #4]
    add_word r4, r5, r12
    add_word r6, r7, lr
    ldr.w   r12, [r2, #8]
    ldr.w   lr, [r2, #12]
    ldr     r2, [r0, #-2]               /* the next output's ids begin with the second half */
    adds    r0, r0, #2
    add_word r8, r9, r12
    add_word r10, r11, lr
    ldr.w   r12, [sp, #S_FINISH]
    addresses
    bx      r12

    .p2align 2
4:  finish  0, 1b
    finish  1, 1b
    finish  2, 1b
    finish  3, 1b
    finish  4, 1b
    finish  5, 1b
    finish  6, 1b
    finish  7, 1b
    .size   \name, . - \name
    .endm

    stem_sum ost_stem_sum_rows, two_rows, 108
    stem_sum ost_stem_sum_pairs, paired_rows, 92

#endif

#if defined(__linux__) && defined(__ELF__)
    .section .note.GNU-stack, "", %progbits
#endif
