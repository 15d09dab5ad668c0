/* ost_reuse_gemm_pairs.S: table rows of 1 to 4 clusters, two channels at a time. */
#ifndef OST_REUSE_GEMM_PAIRS_H
#define OST_REUSE_GEMM_PAIRS_H

#include "../support/ost_simd.h"

#if OST_HAS_DSP

/* The assembly knows the order of the fields. */
typedef struct {
    const int8_t *weights; /* pairs x words x 2 channels x 4 */
    int32_t count;         /* pairs of channels, at least 1 */
    const int16_t *centroids;
    int32_t words;
    const int32_t *multiplier;
    int32_t skip;     /* bytes between the tiles of a table row */
    int16_t *rows[4]; /* where the first tile of each cluster's row is */
} ost_gemm_pairs;

void ost_reuse_gemm_pairs_1(const ost_gemm_pairs *pairs);
void ost_reuse_gemm_pairs_2(const ost_gemm_pairs *pairs);
void ost_reuse_gemm_pairs_3(const ost_gemm_pairs *pairs);
void ost_reuse_gemm_pairs_4(const ost_gemm_pairs *pairs);

#endif

#endif /* OST_REUSE_GEMM_PAIRS_H */
