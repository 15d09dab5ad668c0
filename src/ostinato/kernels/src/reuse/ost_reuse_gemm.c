/* Table rows of up to four clusters (ost_reuse_gemm.h). */
#include "ost_reuse_gemm.h"

#include "ost_reuse_fixed.h"
#include "ost_reuse_gemm_pairs.h"

#if OST_HAS_DSP
OST_PHASE_FUNCTION void ost_reuse_gemm(const ost_reuse_product *product)
{
    ost_gemm_pairs pairs = {product->weights,
                            product->channels / 2,
                            product->centroids,
                            product->words,
                            product->multiplier,
                            (product->tile_values - OST_REUSE_TILE) * (int32_t)sizeof(int16_t),
                            {NULL, NULL, NULL, NULL}};
    for (int32_t c = 0; c < product->clusters; c++) {
        pairs.rows[c] = product->table + product->ids[c] * OST_REUSE_TILE;
    }
    switch (product->clusters) {
    case 1:
        ost_reuse_gemm_pairs_1(&pairs);
        break;
    case 2:
        ost_reuse_gemm_pairs_2(&pairs);
        break;
    case 3:
        ost_reuse_gemm_pairs_3(&pairs);
        break;
    default:
        ost_reuse_gemm_pairs_4(&pairs);
        break;
    }
}
#else
OST_PHASE_FUNCTION void ost_reuse_gemm(const ost_reuse_product *product)
{
    const int32_t words = product->words, g = product->clusters;
    for (int32_t m = 0; m < product->channels; m++) {
        const int8_t *weights = product->weights + m / 2 * words * 8 + m % 2 * 4;
        int16_t *tile = product->table + m / OST_REUSE_TILE * product->tile_values + m % OST_REUSE_TILE;
        for (int32_t c = 0; c < g; c++) {
            const int16_t *even = product->centroids + 2 * c, *odd = even + 2 * g;
            int32_t sum = 0;
            for (int32_t w = 0; w < words; w++) {
                const int8_t *x = weights + 8 * w;
                const int32_t at = w * 4 * g;
                sum += x[0] * even[at] + x[2] * even[at + 1] + x[1] * odd[at] + x[3] * odd[at + 1];
            }
            tile[product->ids[c] * OST_REUSE_TILE] =
                ost_saturate_s16(ost_rounding_high_multiply(sum, product->multiplier[m]));
        }
    }
}
#endif

OST_PHASE_FUNCTION void ost_reuse_add_offset(int16_t *table, int32_t tile_values, const uint8_t *ids, int32_t clusters,
                                             const int16_t *offset, int32_t channels)
{
    for (int32_t c = 0; c < clusters; c++) {
        int16_t *row = table + ids[c] * OST_REUSE_TILE;
        for (int32_t m = 0; m < channels; m += 2) {
            int16_t *to = row + m / OST_REUSE_TILE * tile_values + m % OST_REUSE_TILE;
#if OST_HAS_DSP
            ost_store_u32(to, ost_qadd16(ost_load_u32(to), ost_load_u32(offset + m)));
#else
            to[0] = ost_saturate_s16(to[0] + offset[m]);
            to[1] = ost_saturate_s16(to[1] + offset[m + 1]);
#endif
        }
    }
}
