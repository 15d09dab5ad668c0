/* Outputs of a stem: sums of table rows, a row of outputs at a time.
 *
 * The map holds, for each group and output, where the table row of its id lies: an address, or without DSP instructions
 * the distance from the table's start. All channels of an id lie side by side, so that one address serves them all.
 * A layer's sums are generated code (ost_stem_sum_asm.h); without it, and without DSP instructions, they are C. */
#ifndef OST_STEM_SUM_H
#define OST_STEM_SUM_H

#include "ost_stem.h"
#include "../support/ost_simd.h"

#define OST_STEM_TILE 16
#define OST_STEM_MOST_ROWS 16
#define OST_STEM_MOST_OUTPUTS 2032 /* channels: offsets of instructions */

/* The assembly knows the order of the fields. */
typedef struct {
    const uint32_t *map;   /* R x outputs */
    const int16_t *offset; /* channels in the order 0 2 1 3 of every 4 */
    int8_t *out;
    int32_t count; /* outputs */
} ost_stem_sum;

typedef void (*ost_stem_sum_function)(const ost_stem_sum *sum);

/* Bytes from the table row of one id to the next one's: all channels, in whole tiles. */
OST_INLINE int32_t ost_stem_pitch(const ost_stem_s8_params *p)
{
    return (p->window.output.channels + OST_STEM_TILE - 1) / OST_STEM_TILE * OST_STEM_TILE;
}

/* What the map holds for the first table row. */
OST_INLINE uint32_t ost_stem_first_address(const ost_stem_s8_params *p)
{
#if OST_HAS_DSP
    return (uint32_t)(uintptr_t)p->table;
#else
    (void)p;
    return 0;
#endif
}

/* The sums in C, of any layer. */
void ost_stem_sum_row(const ost_stem_s8_params *p, const ost_stem_sum *sum);

#endif /* OST_STEM_SUM_H */
