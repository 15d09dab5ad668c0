/* ost_stem_map_<set|add>_<words>(const ost_stem_map *map), see ost_stem_map_rows.h: four outputs a pass.
 *
 * Taps at an even column are E0 = (t0, t1), E1 = (t2, t3), ...; at an odd one O0 = (0, t0), O1 = (t1, t2), O2 = (t3, t4).
 * O0 is E0's lower half and the last E the last O's upper half, so E0, E1, O1 and O2 are all that is kept.
 *
 * r0 columns, r1 codes, r2 map, r3 loop, r4-r7 taps, r8 centre, r9 start or an old address, r10-r12 columns and sums,
 * lr. 10.5 cycles to write an address, 12 to add to it. */

#if defined(__ARM_FEATURE_DSP) && (__ARM_FEATURE_DSP == 1) && !defined(OST_PLAIN_C)

    .syntax unified
    .thumb

/* Codes of the windows at both columns of word \a; the columns follow in \b and \c. Sums end in lr and \a. */
    .macro  codes_3 a, b, c
    smlad   lr, \a, r4, r8
    smlatb  \a, \a, r4, r8
    smlad   lr, \b, r5, lr
    smlad   \a, \b, r6, \a
    smlabt  lr, \c, r7, lr
    smlad   \a, \c, r7, \a
    ssat    lr, #8, lr, asr #16
    ssat    \a, #8, \a, asr #16
    .endm

    .macro  codes_2 a, b
    smlad   lr, \a, r4, r8
    smlatb  \a, \a, r4, r8
    smlabt  lr, \b, r5, lr
    smlad   \a, \b, r5, \a
    ssat    lr, #8, lr, asr #16
    ssat    \a, #8, \a, asr #16
    .endm

    .macro  rows_set second
    ldrb.w  lr, [r1, lr]
    ldrb.w  \second, [r1, \second]
    smlabb  lr, lr, r3, r9
    smlabb  \second, \second, r3, r9
    str.w   lr, [r2], #8
    str     \second, [r2, #-4]
    .endm

    .macro  rows_add second
    ldrb.w  lr, [r1, lr]
    ldrb.w  \second, [r1, \second]
    ldr.w   r9, [r2]
    smlabb  lr, lr, r3, r9
    ldr.w   r9, [r2, #4]
    smlabb  \second, \second, r3, r9
    str.w   lr, [r2], #8
    str     \second, [r2, #-4]
    .endm

    .macro  begin name
    .section .text.\name, "ax", %progbits
    .global \name
    .type   \name, %function
    .thumb_func
    .p2align 3
\name:
    push    {r4-r11, lr}
    ldmia   r0, {r0-r4, r8, r9}         /* columns, codes, map, loop, taps, centre, start */
    .endm

    .macro  end name
    subs    r3, r3, #0x10000
    bcs     1b
    pop     {r4-r11, pc}
    .size   \name, . - \name
    .endm

    .macro  map_3 name, rows
    begin   \name
    ldr     r7, [r4, #20]               /* O2 */
    ldr     r6, [r4, #16]               /* O1 */
    ldr     r5, [r4, #4]
    ldr     r4, [r4]
    .p2align 2
1:  ldr.w   r10, [r0], #8
    ldr     r11, [r0, #-4]
    ldr.w   r12, [r0]
    codes_3 r10, r11, r12
    \rows   r10
    ldr.w   r10, [r0, #4]
    codes_3 r11, r12, r10
    \rows   r11
    end     \name
    .endm

    .macro  map_2 name, rows
    begin   \name
    ldr     r5, [r4, #12]               /* O1 */
    ldr     r4, [r4]
    .p2align 2
1:  ldr.w   r10, [r0], #8
    ldr     r11, [r0, #-4]
    ldr.w   r12, [r0]
    codes_2 r10, r11
    \rows   r10
    codes_2 r11, r12
    \rows   r11
    end     \name
    .endm

    map_2   ost_stem_map_set_2, rows_set
    map_2   ost_stem_map_add_2, rows_add
    map_3   ost_stem_map_set_3, rows_set
    map_3   ost_stem_map_add_3, rows_add

#endif

#if defined(__linux__) && defined(__ELF__)
    .section .note.GNU-stack, "", %progbits
#endif
