/* Plain-C twin of ost_conv_s8_dense_gemm.S. The loop over a block is one that compilers turn into vector code. */
#include "../support/ost_simd.h"
#include "ost_conv_s8_dense_gemm.h"

#if !OST_HAS_DSP
void ost_conv_s8_dense_gemm(const ost_dense_product *product)
{
    const int16_t *weights = product->weights;
    for (int32_t m = 0; m < 4 * product->groups; m += 4, weights += product->blocks * 4 * OST_DENSE_BLOCK) {
        for (int32_t c = 0; c < 4; c++) {
            int32_t sum0 = product->bias[m + c], sum1 = sum0;
            for (int32_t b = 0; b < product->blocks; b++) {
                const int16_t *w = weights + (4 * b + c) * OST_DENSE_BLOCK;
                const int16_t *x0 = product->rows + 2 * b * OST_DENSE_BLOCK;
                const int16_t *x1 = x0 + OST_DENSE_BLOCK;
                for (int32_t k = 0; k < OST_DENSE_BLOCK; k++) {
                    sum0 += w[k] * x0[k];
                    sum1 += w[k] * x1[k];
                }
            }
            product->sums[2 * (m + c)] = sum0;
            product->sums[2 * (m + c) + 1] = sum1;
        }
    }
}
#endif
