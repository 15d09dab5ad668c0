/* Assembler macro of the functions that map pixels: r0 from behind a pixel's last slice to the pixel \pixels later. */
#ifndef OST_REUSE_POINTERS_STEP_ASM_H
#define OST_REUSE_POINTERS_STEP_ASM_H

    .macro  next_pixel pixels
    .if \pixels * PIXEL_STEP > BLOCKS * LENGTH
    addw    r0, r0, #(\pixels * PIXEL_STEP - BLOCKS * LENGTH)
    .elseif \pixels * PIXEL_STEP < BLOCKS * LENGTH
    subw    r0, r0, #(BLOCKS * LENGTH - \pixels * PIXEL_STEP)
    .endif
    .endm

#endif /* OST_REUSE_POINTERS_STEP_ASM_H */
