/* Recovering of image scope: outputs are sums of table rows, one for each slice.
 *
 * A pass adds the tables of some slices. If one pass has them all, outputs are finished in registers; otherwise int16
 * accumulators are kept between passes, the first of them in the memory of the output itself: it is rewritten in place
 * by the finishing sweep, whose int8 never overtake the int16 that are still to be read. */
#ifndef OST_REUSE_RECOVER_H
#define OST_REUSE_RECOVER_H

#include "ost_reuse_gemm.h"

typedef struct {
    int32_t positions;    /* N */
    int32_t channels;     /* M */
    int32_t slices;       /* tables in this pass */
    const uint8_t *ids;   /* positions x id_step, the first `slices` of each count; one more byte may be read */
    int32_t id_step;      /* bytes between positions */
    const int16_t *table; /* slices x tiles x 2^H x 16 */
    int32_t tile_values;  /* 2^H * 16 */
    int32_t fraction_bits;
    int8_t *out;
} ost_reuse_recovery;

OST_INLINE int32_t ost_reuse_tiles(int32_t channels)
{
    return (channels + OST_REUSE_TILE - 1) / OST_REUSE_TILE;
}

/* Positions whose accumulators fit into the output tensor. */
OST_INLINE int32_t ost_reuse_positions_in_out(int32_t positions, int32_t channels)
{
    return positions * channels / (2 * OST_REUSE_TILE * ost_reuse_tiles(channels));
}

/* Outputs of a single pass. */
void ost_reuse_recover(const ost_reuse_recovery *pass);

/* One of several passes: accumulators += rows (the first: = rows); those that do not fit in `out` are in `rest`. */
void ost_reuse_accumulate(const ost_reuse_recovery *pass, int first, int16_t *rest);

/* After the last pass: accumulators to int8. */
void ost_reuse_finish(const ost_reuse_recovery *pass, const int16_t *rest);

#endif /* OST_REUSE_RECOVER_H */
