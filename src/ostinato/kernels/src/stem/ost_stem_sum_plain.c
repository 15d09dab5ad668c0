/* The sums in plain C (ost_stem_sum.h). */
#include "ost_stem_sum.h"

#if !OST_HAS_DSP
#include "../reuse/ost_reuse_fixed.h"

OST_PHASE_FUNCTION void ost_stem_sum_rows(const ost_stem_sum *sum)
{
    int8_t *out = sum->out;
    for (const uint16_t *ids = sum->ids; ids < sum->end; ids += sum->rows, out += sum->step) {
        int16_t sums[OST_STEM_TILE];
        for (int32_t k = 0; k < OST_STEM_TILE; k += 4) {
            sums[k] = sum->offset[k];
            sums[k + 1] = sum->offset[k + 2];
            sums[k + 2] = sum->offset[k + 1];
            sums[k + 3] = sum->offset[k + 3];
        }
        for (int32_t r = 0; r < sum->rows; r++) {
            const int8_t *from = sum->table + ids[r];
            for (int32_t k = 0; k < OST_STEM_TILE; k++) {
                sums[k] = (int16_t)(sums[k] + from[k]);
            }
        }
        for (int32_t k = 0; k < OST_STEM_TILE; k++) {
            out[k] = ost_saturate_s8(sums[k] >> sum->fraction_bits);
        }
    }
}

OST_PHASE_FUNCTION void ost_stem_sum_pairs(const ost_stem_sum *sum)
{
    ost_stem_sum_rows(sum);
}
#endif
