/* GEMM of image scope: centroids x weights, requantised to table rows.
 *
 * A table is tiles x 2^H x 16 int16: for every tile of 16 channels one row for each id. Channels are in the order
 * 0 2 1 3 of every 4, so that two words of a row saturate, shift and pack to four int8 in order. */
#ifndef OST_REUSE_GEMM_H
#define OST_REUSE_GEMM_H

#include "../support/ost_simd.h"

#define OST_REUSE_TILE 16

typedef struct {
    const int16_t *centroids; /* words x 2 x clusters x 2, ost_reuse_clusters.h */
    int32_t clusters;         /* 1 to 4 */
    int32_t words;
    const uint8_t *ids;        /* of the clusters */
    const int8_t *weights;     /* channels / 2 x words x 2 x 4 */
    const int32_t *multiplier; /* channels */
    int32_t channels;          /* a multiple of 4 */
    int16_t *table;
    int32_t tile_values; /* 2^H * 16 */
} ost_reuse_product;

void ost_reuse_gemm(const ost_reuse_product *product);

/* Adds the layer's offset (bias, zero point, rounding) to the rows of these ids, saturating. */
void ost_reuse_add_offset(int16_t *table, int32_t tile_values, const uint8_t *ids, int32_t clusters,
                          const int16_t *offset, int32_t channels);

#endif /* OST_REUSE_GEMM_H */
