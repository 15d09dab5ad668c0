/* Assembler macros: 16 int16 sums in r4-r11 to 16 int8 in r4-r7, shifted right by fraction bits and saturated.
 *
 * Sums are in the order 0 2 1 3 of every 4 channels: r4 holds channels 0 and 2, r5 1 and 3, and so on. SSAT16's
 * width is part of the instruction, so there is one row of them for each number of fraction bits. */
#ifndef OST_REUSE_PACK_ASM_H
#define OST_REUSE_PACK_ASM_H

    .equ    SATURATE_BYTES, 9 * 4

/* \address = where to jump for \bits fraction bits; \scratch is overwritten. */
    .macro  saturate_entry address, bits, scratch, table
    adr.w   \address, \table
    sub     \scratch, \bits, #1
    add     \address, \address, \scratch, lsl #5
    add     \address, \address, \scratch, lsl #2
    orr     \address, \address, #1      /* Thumb */
    .endm

    .macro  saturate_row bits, done
    ssat16  r4, #(8 + \bits), r4
    ssat16  r5, #(8 + \bits), r5
    ssat16  r6, #(8 + \bits), r6
    ssat16  r7, #(8 + \bits), r7
    ssat16  r8, #(8 + \bits), r8
    ssat16  r9, #(8 + \bits), r9
    ssat16  r10, #(8 + \bits), r10
    ssat16  r11, #(8 + \bits), r11
    b.w     \done
    .endm

    .macro  saturate_table done
    saturate_row 1, \done
    saturate_row 2, \done
    saturate_row 3, \done
    saturate_row 4, \done
    saturate_row 5, \done
    saturate_row 6, \done
    saturate_row 7, \done
    .endm

/* Even channels come to bytes 0 and 2, odd ones to 1 and 3; SEL takes either, by the flags of the addition. */
    .macro  pack_word to, even, odd, bits, rest
    lsr     \even, \even, \bits
    lsl     \odd, \odd, \rest
    sel     \to, \even, \odd
    .endm

/* After the jump; \rest is overwritten. */
    .macro  pack_tile bits, rest
    mov     \rest, #0x00ff00ff
    uadd8   \rest, \rest, \rest
    rsb     \rest, \bits, #8
    pack_word r4, r4, r5, \bits, \rest
    pack_word r5, r6, r7, \bits, \rest
    pack_word r6, r8, r9, \bits, \rest
    pack_word r7, r10, r11, \bits, \rest
    .endm

#endif /* OST_REUSE_PACK_ASM_H */
