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
    .equ    P_FIRST, 20
    .equ    P_OUT, 24
    .equ    P_OUT_STEP, 28
    .equ    P_COUNT, 32
    .equ    P_BITS, 36

/* The stack frame. */
    .equ    F_TABLE, 0
    .equ    F_ENTRY, 4
    .equ    F_OUT, 8
    .equ    F_OUT_STEP, 12
    .equ    F_ADVANCE, 16       /* from behind a position's last id to the next position's first */
    .equ    F_OUT_END, 20
    .equ    F_BLOCKS, 24        /* of eight rows, behind the first one */
    .equ    F_BLOCKS_LEFT, 28
    .equ    F_LOOP, 32          /* where a position begins */
    .equ    F_BITS, 36
    .equ    F_SATURATE, 40
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
    ldr     r1, [r0, #P_TABLE]
    ldr     r3, [r0, #P_SLICES]
    ldr     r4, [r0, #P_ID_STEP]
    ldr     r5, [r0, #P_OUT_STEP]
    ldr     r6, [r0, #P_COUNT]
    ldr.w   lr, [r0, #P_OUT]
    ldr.w   r10, [r0, #P_BITS]
    str     r1, [sp, #F_TABLE]
    str.w   lr, [sp, #F_OUT]
    str     r5, [sp, #F_OUT_STEP]
    str.w   r10, [sp, #F_BITS]
    mla     r6, r5, r6, lr
    str     r6, [sp, #F_OUT_END]
    subs    r4, r4, r3
    subs    r4, r4, #1                  /* one id ahead */
    str     r4, [sp, #F_ADVANCE]
    subs    r3, r3, #1
    lsrs    r4, r3, #3
    str     r4, [sp, #F_BLOCKS]
    str     r4, [sp, #F_BLOCKS_LEFT]
    and     r3, r3, #7
    rsb     r3, r3, #7                  /* rows that the first block skips */
    adr.w   r11, 2f
    movs    r7, #ROW_BYTES
    mla     r11, r3, r7, r11
    orr     r11, r11, #1                /* Thumb */
    str     r11, [sp, #F_ENTRY]
    .if \bytes == 1
    saturate_entry r11, r10, r12, 4f
    str     r11, [sp, #F_SATURATE]
    adr.w   r11, 1f
    .else
    ldr     r3, [r0, #P_FIRST]
    cmp     r3, #0
    ite     ne
    adrne.w r11, 1f
    adreq.w r11, 3f
    .endif
    orr     r11, r11, #1
    str.w   r11, [sp, #F_LOOP]
    ldr     r2, [r0, #P_PITCH]
    ldr     r0, [r0, #P_IDS]
    bx      r11

    .p2align 2
1:  /* a position, from zero */
    movs    r4, #0
    movs    r5, #0
    movs    r6, #0
    movs    r7, #0
    mov     r8, r4
    mov     r9, r4
    mov     r10, r4
    mov     r11, r4
    ldr     r1, [sp, #F_TABLE]
    ldr.w   r12, [sp, #F_ENTRY]
    ldrb    r3, [r0], #1
    bx      r12

    .if \bytes == 2
    .p2align 2
3:  /* a position, from what is there */
    ldr.w   r4, [lr]
    ldr.w   r5, [lr, #4]
    ldr.w   r6, [lr, #8]
    ldr.w   r7, [lr, #12]
    ldr.w   r8, [lr, #16]
    ldr.w   r9, [lr, #20]
    ldr.w   r10, [lr, #24]
    ldr.w   r11, [lr, #28]
    ldr     r1, [sp, #F_TABLE]
    ldr.w   r12, [sp, #F_ENTRY]
    ldrb    r3, [r0], #1
    bx      r12
    .endif

    .p2align 2
2:  add_row
    add_row
    add_row
    add_row
    add_row
    add_row
    add_row
    add_row
    ldr.w   r12, [sp, #F_BLOCKS_LEFT]
    subs.w  r12, r12, #1
    bpl.w   6f

    ldr.w   lr, [sp, #F_OUT]
    .if \bytes == 1
    ldr     r3, [sp, #F_BITS]
    ldr.w   r12, [sp, #F_SATURATE]
    bx      r12
    .p2align 2
4:  saturate_table 5f
5:  pack_tile r3, r12
    .endif
    str.w   r4, [lr]
    str.w   r5, [lr, #4]
    str.w   r6, [lr, #8]
    str.w   r7, [lr, #12]
    .if \bytes == 2
    str.w   r8, [lr, #16]
    str.w   r9, [lr, #20]
    str.w   r10, [lr, #24]
    str.w   r11, [lr, #28]
    .endif
    ldr     r3, [sp, #F_OUT_STEP]
    ldr     r4, [sp, #F_ADVANCE]
    ldr     r5, [sp, #F_OUT_END]
    ldr     r6, [sp, #F_BLOCKS]
    ldr.w   r12, [sp, #F_LOOP]
    add     lr, lr, r3
    add     r0, r0, r4
    str.w   lr, [sp, #F_OUT]
    str     r6, [sp, #F_BLOCKS_LEFT]
    cmp     lr, r5
    it      ne
    bxne    r12
    add     sp, sp, #F_BYTES
    pop     {r4-r11, pc}

6:  /* the next eight rows of the same position */
    str.w   r12, [sp, #F_BLOCKS_LEFT]
    b.w     2b
    .size   \name, . - \name
    .endm

    recover_rows ost_reuse_recover_rows_s16, 2
    recover_rows ost_reuse_recover_rows_s8, 1

#endif

#if defined(__linux__) && defined(__ELF__)
    .section .note.GNU-stack, "", %progbits
#endif
