/* Plain-C twin of ost_conv_s8_dense_gemm.S. The loop over a block is one that compilers turn into vector code. */
#include "../support/ost_requantize.h"
#include "../support/ost_simd.h"
#include "ost_conv_s8_dense_gemm.h"

#if !OST_HAS_DSP
/* The sums of two channels over one pixel, modulo 2^32. */
OST_INLINE void pair_sums(const ost_dense_product *product, const int16_t *weights, const int16_t *x,
                          const int32_t start[2], int32_t sums[2])
{
    uint32_t both = (uint32_t)start[0], first = (uint32_t)start[1];
    for (int32_t b = 0; b < product->blocks; b++, weights += 2 * OST_DENSE_BLOCK, x += 2 * OST_DENSE_BLOCK) {
        for (int32_t k = 0; k < OST_DENSE_BLOCK; k++) {
            both += (uint32_t)(weights[k] * x[k]);
            first += (uint32_t)((int8_t)weights[k] * x[k]);
        }
    }
    sums[0] = (int32_t)first;
    sums[1] = (int32_t)(both - first) >> 8;
}

void ost_conv_s8_dense_gemm(const ost_dense_product *product)
{
    const int32_t group_size = product->blocks * 2 * OST_DENSE_BLOCK;
    for (int32_t m = 0; m < 4 * product->groups; m += 2) {
        const int16_t *weights = product->weights + m / 4 * group_size + m % 4 / 2 * OST_DENSE_BLOCK;
        for (int32_t pixel = 0; pixel < 2; pixel++) {
            int32_t sums[2];
            pair_sums(product, weights, product->rows + pixel * OST_DENSE_BLOCK, product->start + m, sums);
            for (int32_t i = 0; i < 2; i++) {
                if (product->narrow) {
                    const int32_t *n = product->narrow + 3 * (m + i);
                    (pixel ? product->out1 : product->out0)[m + i] = ost_finish_narrow(sums[i], n[0], n[1], n[2]);
                } else {
                    product->sums[2 * (m + i) + pixel] = sums[i];
                }
            }
        }
    }
}
#endif
