/* Plain-C twin of ost_conv_s8_dense_gemm.S. The loop over a block is one that compilers turn into vector code. */
#include "../support/ost_requantize.h"
#include "../support/ost_simd.h"
#include "ost_conv_s8_dense_gemm.h"

#if !OST_HAS_DSP
/* The sums of one channel over two pixels: sums[pixel]. */
OST_INLINE void channel_sums(const ost_dense_product *product, const int16_t *weights, int32_t sums[2])
{
    int32_t sum0 = sums[0], sum1 = sums[1];
    for (int32_t b = 0; b < product->blocks; b++, weights += 4 * OST_DENSE_BLOCK) {
        const int16_t *x0 = product->rows + 2 * b * OST_DENSE_BLOCK;
        const int16_t *x1 = x0 + OST_DENSE_BLOCK;
        for (int32_t k = 0; k < OST_DENSE_BLOCK; k++) {
            sum0 += weights[k] * x0[k];
            sum1 += weights[k] * x1[k];
        }
    }
    sums[0] = sum0;
    sums[1] = sum1;
}

void ost_conv_s8_dense_gemm(const ost_dense_product *product)
{
    const int32_t group_size = product->blocks * 4 * OST_DENSE_BLOCK;
    for (int32_t m = 0; m < 4 * product->groups; m++) {
        int32_t sums[2] = {product->bias[m], product->bias[m]};
        channel_sums(product, product->weights + m / 4 * group_size + m % 4 * OST_DENSE_BLOCK, sums);
        if (product->narrow) {
            const int32_t *n = product->narrow + 3 * m;
            product->out0[m] = ost_finish_narrow(sums[0], n[0], n[1], n[2]);
            product->out1[m] = ost_finish_narrow(sums[1], n[0], n[1], n[2]);
        } else {
            product->sums[2 * m] = sums[0];
            product->sums[2 * m + 1] = sums[1];
        }
    }
}
#endif
