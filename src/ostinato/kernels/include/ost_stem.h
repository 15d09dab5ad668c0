/* Transform-coded stem: a first layer whose outputs are sums of table rows that the patch's cosine transform chooses.
 *
 * Pixels are rotated in colour, every window column is transformed once for all windows that it is part of, and each
 * coefficient, rounded to int8, is mapped to its bits of an id. Arrays that are called packed are laid out by the
 * Python package's kernels/stem.py.
 */
#ifndef OST_STEM_H
#define OST_STEM_H

#include "ost_types.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
    ost_window window; /* C from 1 to 4, kernel up to 16, dilation 1 */
    int32_t input_zero_point;
    const int16_t *rotation; /* packed: C x 4 columns in the order 0 2 1 3, zero beyond C */
    const int16_t *padding;  /* C: a rotated padding pixel */
    int32_t planes;          /* F */
    const int32_t *channels; /* F: which rotated colour */
    const int16_t *vertical; /* packed: F x KH first slots x ceil(KH/2)*2 taps by slot */
    const int32_t *ends;     /* F: coefficients of the planes up to this one */
    const int16_t *horizontal; /* packed: n x 2 x (KW/2 + 1) x 2 taps, for windows at an even and at an odd column */
    const int32_t *centre;     /* n, the rounding included */
    const uint8_t *maps;       /* n x 256, for coefficients from -128 on */
    const int32_t *groups;     /* n: 2 g, and 1 more for the first coefficient of group g */
    int32_t hashes;            /* H, 1 to 8 */
    int32_t rows;              /* G, each with a coefficient at least */
    const int8_t *table;       /* G x 2^H x ceil(M/16)*16, zero beyond M */
    const int16_t *offset;     /* ceil(M/16) x 16, channels in the order 0 2 1 3 of every 4 */
    const int32_t *wide_offset; /* ceil(M/16)*16 in order, where int16 does not hold all sums; NULL where it does */
    int32_t fraction_bits;      /* 0 to 7 */
} ost_stem_s8_params;

/* Any layer, with sums in C. The Python package's kernels/stem_sum.py generates functions of this shape for one layer's
 * sizes and table, ost_stem_s8_<sizes>, whose sums are faster. */
ost_status ost_stem_s8(const ost_stem_s8_params *params, const ost_scratch *scratch, const int8_t *in, int8_t *out);
int32_t ost_stem_s8_scratch_bytes(const ost_stem_s8_params *params);

typedef struct {
    ost_stem_s8_params layer;
    ost_window pool; /* of the layer's outputs: any window of dilation 1 that reaches at least one of their rows */
} ost_stem_pooled_s8_params;

/* The layer and a max-pool of its outputs, of which only a window's rows are held. Generated in the same way. */
ost_status ost_stem_pooled_s8(const ost_stem_pooled_s8_params *params, const ost_scratch *scratch, const int8_t *in,
                              int8_t *out);
int32_t ost_stem_pooled_s8_scratch_bytes(const ost_stem_pooled_s8_params *params);

#ifdef __cplusplus
}
#endif

#endif /* OST_STEM_H */
