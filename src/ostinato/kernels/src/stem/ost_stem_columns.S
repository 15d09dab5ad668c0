/* ost_stem_columns_<KH>(ring, taps, pairs, columns) for kernels of 3 and 5 rows: a pair of pixel columns in all KH rows
 * is one burst of loads, and both sums leave as one word. 18 and 22 cycles a pair. */

#if defined(__ARM_FEATURE_DSP) && (__ARM_FEATURE_DSP == 1) && !defined(OST_PLAIN_C)

    .syntax unified
    .thumb

/* Rows \a and \b of two columns, by the taps of both: the first two rows start the sums in r12 and \a. */
    .macro  first_rows a, b, taps
    pkhbt   r12, \a, \b, lsl #16
    pkhtb   \a, \b, \a, asr #16
    smlad   r12, r12, \taps, r1
    smlad   \a, \a, \taps, r1
    .endm

    .macro  more_rows sum, a, b, taps
    pkhbt   lr, \a, \b, lsl #16
    pkhtb   \a, \b, \a, asr #16
    smlad   r12, lr, \taps, r12
    smlad   \sum, \a, \taps, \sum
    .endm

    .macro  last_row sum, a, taps
    smlabb  r12, \a, \taps, r12
    smlatb  \sum, \a, \taps, \sum
    pkhtb   \sum, \sum, r12, asr #16
    str.w   \sum, [r3], #4
    .endm

    .macro  begin name
    .section .text.\name, "ax", %progbits
    .global \name
    .type   \name, %function
    .thumb_func
    .p2align 3
\name:
    push    {r4-r11, lr}
    .endm

    .macro  end name
    subs    r2, r2, #1
    bne     1b
    pop     {r4-r11, pc}
    .size   \name, . - \name
    .endm

    begin   ost_stem_columns_3
    ldrd    r4, r5, [r1]
    mov     r1, #0x8000                 /* rounding */
    .p2align 2
1:  ldmia   r0!, {r7, r8, r9}
    first_rows r7, r8, r4
    last_row r7, r9, r5
    end     ost_stem_columns_3

    begin   ost_stem_columns_5
    ldmia   r1, {r4, r5, r6}
    mov     r1, #0x8000
    .p2align 2
1:  ldmia   r0!, {r7-r11}
    first_rows r7, r8, r4
    more_rows r7, r9, r10, r5
    last_row r7, r11, r6
    end     ost_stem_columns_5

#endif

#if defined(__linux__) && defined(__ELF__)
    .section .note.GNU-stack, "", %progbits
#endif
