/* void ost_reuse_recover_rows_s16(const ost_recover_rows *rows) and ..._s8: int16 table rows added to 16 channels.
 *
 * A row is 8 loads and 8 QADD16; the next id is loaded with the last of them, so one byte behind the ids is read. Eight
 * rows are unrolled, and the first pass enters behind the rows it does not have. */

#if defined(__ARM_FEATURE_DSP) && (__ARM_FEATURE_DSP == 1) && !defined(OST_PLAIN_C)

    .syntax unified
    .thumb

#include "ost_reuse_pack_asm.h"

/* ost_recover_rows */
    .equ    P_IDS, 0
    .equ    P_ID_STEP, 4
    .equ    P_TABLE, 8
    .equ    P_PITCH, 12
    .equ    P_SLICES, 16
    .equ    P_START, 20
    .equ    P_START_STEP, 24
    .equ    P_OUT, 28
    .equ    P_OUT_STEP, 32
    .equ    P_COUNT, 36
    .equ    P_BITS, 40

/* The stack frame. */
    .equ    F_END, 0            /* of this position's ids, as the loop sees it */
    .equ    F_ENTRY, 4
    .equ    F_TABLE, 8
    .equ    F_IDS, 12
    .equ    F_ID_STEP, 16
    .equ    F_START, 20
    .equ    F_START_STEP, 24
    .equ    F_OUT, 28
    .equ    F_OUT_STEP, 32
    .equ    F_COUNT, 36
    .equ    F_BITS, 40
    .equ    F_SATURATE, 44
    .equ    F_BYTES, 48

    .equ    ROW_BYTES, 19 * 4

/* r3: id, then the row, then the next id; r1: this slice's table. 23 cycles. */
    .macro  add_row
    add.w   r3, r1, r3, lsl #5
    add.w   r1, r1, r2
    ldr.w   r12, [r3]
    ldr.w   lr, [r3, #4]
    qadd16  r4, r4, r12
    qadd16  r5, r5, lr
    ldr.w   r12, [r3, #8]
    ldr.w   lr, [r3, #12]
    qadd16  r6, r6, r12
    qadd16  r7, r7, lr
    ldr.w   r12, [r3, #16]
    ldr.w   lr, [r3, #20]
    qadd16  r8, r8, r12
    qadd16  r9, r9, lr
    ldr.w   r12, [r3, #24]
    ldr.w   lr, [r3, #28]
    ldrb.w  r3, [r0], #1
    qadd16  r10, r10, r12
    qadd16  r11, r11, lr
    .endm

    .macro  recover_rows name, bytes
    .section .text.\name, "ax", %progbits
    .global \name
    .type   \name, %function
    .thumb_func
    .p2align 3
\name:
    push    {r4-r11, lr}
    sub     sp, sp, #F_BYTES
    ldr     r1, [r0, #P_IDS]
    ldr     r2, [r0, #P_ID_STEP]
    ldr     r3, [r0, #P_TABLE]
    ldr     r4, [r0, #P_SLICES]
    ldr     r5, [r0, #P_START]
    ldr     r6, [r0, #P_START_STEP]
    ldr     r7, [r0, #P_OUT]
    ldr.w   r8, [r0, #P_OUT_STEP]
    ldr.w   r9, [r0, #P_COUNT]
    ldr.w   r10, [r0, #P_BITS]
    str     r1, [sp, #F_IDS]
    str     r2, [sp, #F_ID_STEP]
    str     r3, [sp, #F_TABLE]
    str     r5, [sp, #F_START]
    str     r6, [sp, #F_START_STEP]
    str     r7, [sp, #F_OUT]
    str.w   r8, [sp, #F_OUT_STEP]
    str.w   r9, [sp, #F_COUNT]
    str.w   r10, [sp, #F_BITS]
    add     r5, r1, r4
    adds    r5, r5, #1                  /* one id ahead */
    str     r5, [sp, #F_END]
    subs    r4, r4, #1
    and     r4, r4, #7
    rsb     r4, r4, #7                  /* rows that the first pass skips */
    adr.w   r11, 2f
    movs    r7, #ROW_BYTES
    mla     r11, r4, r7, r11
    orr     r11, r11, #1                /* Thumb */
    str     r11, [sp, #F_ENTRY]
    .if \bytes == 1
    saturate_entry r11, r10, r12, 4f
    str     r11, [sp, #F_SATURATE]
    .endif
    ldr     r2, [r0, #P_PITCH]

1:  /* a position */
    ldr.w   lr, [sp, #F_START]
    ldr     r1, [sp, #F_TABLE]
    ldr     r0, [sp, #F_IDS]
    ldr.w   r12, [sp, #F_ENTRY]
    ldr.w   r4, [lr]
    ldr.w   r5, [lr, #4]
    ldr.w   r6, [lr, #8]
    ldr.w   r7, [lr, #12]
    ldr.w   r8, [lr, #16]
    ldr.w   r9, [lr, #20]
    ldr.w   r10, [lr, #24]
    ldr.w   r11, [lr, #28]
    ldrb    r3, [r0], #1
    bx      r12

    .p2align 2
2:  add_row
    add_row
    add_row
    add_row
    add_row
    add_row
    add_row
    add_row
    ldr.w   r12, [sp, #F_END]
    cmp     r0, r12
    bne.w   2b

    ldr     r1, [sp, #F_OUT]
    .if \bytes == 1
    ldr     r3, [sp, #F_BITS]
    ldr.w   r12, [sp, #F_SATURATE]
    bx      r12
    .p2align 2
4:  saturate_table 5f
5:  pack_tile r3, r12
    .endif
    str     r4, [r1]
    str     r5, [r1, #4]
    str     r6, [r1, #8]
    str     r7, [r1, #12]
    .if \bytes == 2
    str.w   r8, [r1, #16]
    str.w   r9, [r1, #20]
    str.w   r10, [r1, #24]
    str.w   r11, [r1, #28]
    .endif
    ldr     r3, [sp, #F_OUT_STEP]
    ldr     r4, [sp, #F_START]
    ldr     r5, [sp, #F_START_STEP]
    ldr     r6, [sp, #F_IDS]
    ldr     r7, [sp, #F_ID_STEP]
    ldr.w   r8, [sp, #F_COUNT]
    ldr.w   r9, [sp, #F_END]
    add     r1, r1, r3
    add     r4, r4, r5
    add     r6, r6, r7
    add     r9, r9, r7
    str     r1, [sp, #F_OUT]
    str     r4, [sp, #F_START]
    str     r6, [sp, #F_IDS]
    str.w   r9, [sp, #F_END]
    subs.w  r8, r8, #1
    str.w   r8, [sp, #F_COUNT]
    bne.w   1b
    add     sp, sp, #F_BYTES
    pop     {r4-r11, pc}
    .size   \name, . - \name
    .endm

    recover_rows ost_reuse_recover_rows_s16, 2
    recover_rows ost_reuse_recover_rows_s8, 1

#endif

#if defined(__linux__) && defined(__ELF__)
    .section .note.GNU-stack, "", %progbits
#endif
