/* Plain-C twin of ost_reuse_recover_rows.S. */
#include "ost_reuse_fixed.h"
#include "ost_reuse_gemm.h"
#include "ost_reuse_recover_rows.h"

#if !OST_HAS_DSP

OST_INLINE void sum_rows(const ost_recover_rows *rows, int32_t position, int32_t first, int16_t *sums)
{
    const uint8_t *ids = rows->ids + position * rows->id_step;
    memset(sums, 0, OST_REUSE_TILE * sizeof *sums);
    if (!first) {
        memcpy(sums, (const char *)rows->out + position * rows->out_step, OST_REUSE_TILE * sizeof *sums);
    }
    for (int32_t s = 0; s < rows->slices; s++) {
        const int16_t *row = rows->table + s * (rows->pitch / 2) + ids[s] * OST_REUSE_TILE;
        for (int32_t k = 0; k < OST_REUSE_TILE; k++) {
            sums[k] = ost_saturate_s16(sums[k] + row[k]);
        }
    }
}

OST_PHASE_FUNCTION void ost_reuse_recover_rows_s16(const ost_recover_rows *rows)
{
    for (int32_t n = 0; n < rows->count; n++) {
        int16_t sums[OST_REUSE_TILE];
        sum_rows(rows, n, rows->first, sums);
        memcpy((char *)rows->out + n * rows->out_step, sums, sizeof sums);
    }
}

OST_PHASE_FUNCTION void ost_reuse_recover_rows_s8(const ost_recover_rows *rows)
{
    for (int32_t n = 0; n < rows->count; n++) {
        int16_t sums[OST_REUSE_TILE];
        int8_t *out = (int8_t *)rows->out + n * rows->out_step;
        sum_rows(rows, n, 1, sums);
        for (int32_t k = 0; k < OST_REUSE_TILE; k += 4) {
            out[k] = ost_saturate_s8(sums[k] >> rows->fraction_bits);
            out[k + 1] = ost_saturate_s8(sums[k + 2] >> rows->fraction_bits);
            out[k + 2] = ost_saturate_s8(sums[k + 1] >> rows->fraction_bits);
            out[k + 3] = ost_saturate_s8(sums[k + 3] >> rows->fraction_bits);
        }
    }
}

#endif
