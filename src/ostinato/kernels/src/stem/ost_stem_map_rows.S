/* ost_stem_map_<set|add>_<words>(const ost_stem_map *map), see ost_stem_map_rows.h: four outputs a pass.
 *
 * Taps at an even column are E0 = (t0, t1), E1 = (t2, t3), ...; at an odd one O0 = (0, t0), O1 = (t1, t2), O2 = (t3, t4).
 * O0 is E0's lower half and the last E the last O's upper half, so E0, E1, O1 and O2 are all that is kept.
 *
 * r0 columns, r1 map, r2 ids, r3 step, r4-r7 taps, r8 centre, r9 start or the old id, r10-r12 columns and sums, lr. */

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

    .macro  ids_set second
    ldrb.w  lr, [r1, lr]
    ldrb.w  \second, [r1, \second]
    add.w   lr, r9, lr, lsl #4
    add.w   \second, r9, \second, lsl #4
    strh.w  lr, [r2]
    add     r2, r2, r3
    strh.w  \second, [r2]
    add     r2, r2, r3
    .endm

    .macro  ids_add second
    ldrb.w  lr, [r1, lr]
    ldrb.w  \second, [r1, \second]
    ldrh.w  r9, [r2]
    add.w   lr, r9, lr, lsl #4
    strh.w  lr, [r2]
    add     r2, r2, r3
    ldrh.w  r9, [r2]
    add.w   \second, r9, \second, lsl #4
    strh.w  \second, [r2]
    add     r2, r2, r3
    .endm

    .macro  begin name
    .section .text.\name, "ax", %progbits
    .global \name
    .type   \name, %function
    .thumb_func
    .p2align 3
\name:
    push    {r4-r11, lr}
    sub     sp, sp, #4
    ldmia   r0, {r0-r4, r8-r10}         /* columns, map, ids, step, taps, centre, start, count */
    mla     r10, r10, r3, r2
    str.w   r10, [sp]                   /* where the ids end */
    .endm

    .macro  end name
    ldr.w   lr, [sp]
    cmp     r2, lr
    bne     1b
    add     sp, sp, #4
    pop     {r4-r11, pc}
    .size   \name, . - \name
    .endm

    .macro  map_3 name, ids
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
    \ids    r10
    ldr.w   r10, [r0, #4]
    codes_3 r11, r12, r10
    \ids    r11
    end     \name
    .endm

    .macro  map_2 name, ids
    begin   \name
    ldr     r5, [r4, #12]               /* O1 */
    ldr     r4, [r4]
    .p2align 2
1:  ldr.w   r10, [r0], #8
    ldr     r11, [r0, #-4]
    ldr.w   r12, [r0]
    codes_2 r10, r11
    \ids    r10
    codes_2 r11, r12
    \ids    r11
    end     \name
    .endm

    map_2   ost_stem_map_set_2, ids_set
    map_2   ost_stem_map_add_2, ids_add
    map_3   ost_stem_map_set_3, ids_set
    map_3   ost_stem_map_add_3, ids_add

#endif

#if defined(__linux__) && defined(__ELF__)
    .section .note.GNU-stack, "", %progbits
#endif
