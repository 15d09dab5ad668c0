/* Assembler macro: one level of a tree of thresholds (ost_reuse_thresholds.h), of two vectors: 14 cycles.
 *
 * Registers: r0 and r2 the vectors, r1 two bytes before the nodes, r3 and r4 where the vectors are, nodes counting from
 * 1, the root; r5 to r8 are overwritten. The sign of threshold - coordinate is the bit. */
#ifndef OST_REUSE_THRESHOLDS_ASM_H
#define OST_REUSE_THRESHOLDS_ASM_H

    .syntax unified
    .thumb

    .equ    THRESHOLD_LEVEL_BYTES, 12 * 4

    .macro  threshold_level
    ldrsh.w r5, [r1, r3, lsl #1]
    ldrsh.w r6, [r1, r4, lsl #1]
    uxtb.w  r7, r5
    uxtb.w  r8, r6
    ldrsb.w r7, [r0, r7]
    ldrsb.w r8, [r2, r8]
    rsb.w   r7, r7, r5, asr #8
    rsb.w   r8, r8, r6, asr #8
    lsls.w  r7, r7, #1
    adc.w   r3, r3, r3
    lsls.w  r8, r8, #1
    adc.w   r4, r4, r4
    .endm

#endif /* OST_REUSE_THRESHOLDS_ASM_H */
