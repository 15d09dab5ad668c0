/* The sums in C (ost_stem_sum.h). */
#include "ost_stem_sum.h"

#include "../reuse/ost_reuse_fixed.h"

/* 16 channels from `first` on, of the output whose rows `map` has, one every `step`. */
OST_INLINE void sum_tile(const ost_stem_s8_params *p, const uint32_t *map, int32_t step, int32_t first, int32_t *sums)
{
    const int16_t *offset = p->offset + first;
    for (int32_t k = 0; k < OST_STEM_TILE; k += 4) {
        sums[k] = offset[k];
        sums[k + 1] = offset[k + 2];
        sums[k + 2] = offset[k + 1];
        sums[k + 3] = offset[k + 3];
    }
    for (int32_t k = 0; k < OST_STEM_TILE && p->wide_offset; k++) {
        sums[k] = p->wide_offset[first + k];
    }
    for (int32_t r = 0; r < p->rows; r++) {
        const int8_t *row = p->table + (map[r * step] - ost_stem_first_address(p)) + first;
        for (int32_t k = 0; k < OST_STEM_TILE; k++) {
            sums[k] += row[k];
        }
    }
}

OST_PHASE_FUNCTION void ost_stem_sum_row(const ost_stem_s8_params *p, const ost_stem_sum *sum)
{
    const int32_t channels = p->window.output.channels;
    int8_t *out = sum->out;
    for (int32_t n = 0; n < sum->count; n++, out += channels) {
        for (int32_t first = 0; first < channels; first += OST_STEM_TILE) {
            const int32_t left = channels - first, count = left < OST_STEM_TILE ? left : OST_STEM_TILE;
            int32_t sums[OST_STEM_TILE];
            sum_tile(p, sum->map + n, sum->count, first, sums);
            for (int32_t k = 0; k < count; k++) {
                out[first + k] = ost_saturate_s8(sums[k] >> p->fraction_bits);
            }
        }
    }
}
