/* The inner product of ost_conv_s8_dense, and the layout that it shares with the binding.
 *
 * Two output channels are multiplied by one instruction: a halfword of weights is 256 * b + a for weights a and b of a
 * column in channels 2i and 2i + 1. Sums of halfword * x are 256 * B + A; SXTB16 of the same word leaves a, whose sums
 * are A. The difference is 256 * B, exact modulo 2^32: B is known as long as it lies in [-2^23, 2^23), which the binding
 * proves.
 *
 * The K columns are padded IN FRONT to a multiple of OST_DENSE_BLOCK, so that a run of columns ends where a block
 * ends. Within every group of four columns the order is (0, 2, 1, 3): what SXTB16 and SXTB16 ROR #8 make of a word.
 *   rows:    blocks x 2 pixels x 16 int16
 *   weights: ceil(M/4) x blocks x 2 pairs of channels x 16 int16, zero in the padding
 *   start:   ceil(M/4) x 2 pairs of channels x (256 * B + A, A)
 *   sums:    ceil(M/4) x 4 channels x 2 pixels int32 */
#ifndef OST_CONV_S8_DENSE_GEMM_H
#define OST_CONV_S8_DENSE_GEMM_H

#include <stdint.h>

#define OST_DENSE_BLOCK 16
#define OST_DENSE_PASS 6 /* blocks that the inner loop covers in one go */

typedef struct {
    const int16_t *rows;
    const int16_t *weights;
    const int32_t *start; /* of the accumulators */
    int32_t *sums;
    int32_t groups; /* ceil(M/4) */
    int32_t blocks;
    /* Pairs of columns that the first pass skips: 8 for each block that completes a whole number of passes, and those at
     * the front of the first block that are padding only. */
    int32_t skip;
    /* ost_conv_s8_dense_params.narrow, or null. Where it is given (M is a multiple of 4), the sums do not go to memory:
     * their int8 results go to out0 and out1, one byte per channel. */
    const int32_t *narrow;
    int8_t *out0;
    int8_t *out1;
} ost_dense_product;

void ost_conv_s8_dense_gemm(const ost_dense_product *product);

#endif /* OST_CONV_S8_DENSE_GEMM_H */
