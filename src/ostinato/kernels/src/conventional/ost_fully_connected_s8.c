/* Fully connected: four outputs a pass, two in each halfword of weights (ost_conv_s8_dense_gemm.h). A pass reads the input
 * once and its weights in address order.
 *
 * weights: ceil(M/4) x ceil(K/16) x 2 pairs of outputs x 16 inputs, zero-padded behind; the input is never read past K. */
#include "ost_conventional.h"
#include "../support/ost_requantize.h"
#include "../support/ost_simd.h"

#define BLOCK 16

/* Adds the products of blocks x 16 inputs (at least one block) to the sums of four outputs. */
#if OST_HAS_DSP
void ost_fully_connected_s8_blocks(const int8_t *in, const int16_t *weights, int32_t blocks, int32_t sums[4]);
#else
static void ost_fully_connected_s8_blocks(const int8_t *in, const int16_t *weights, int32_t blocks, int32_t sums[4])
{
    uint32_t both[2] = {0, 0}, even[2] = {0, 0}; /* modulo 2^32 */
    for (int32_t b = 0; b < blocks; b++, in += BLOCK, weights += 2 * BLOCK) {
        int16_t x[BLOCK];
        for (int32_t k = 0; k < BLOCK; k += 4) { /* SXTB16's order */
            x[k] = in[k];
            x[k + 1] = in[k + 2];
            x[k + 2] = in[k + 1];
            x[k + 3] = in[k + 3];
        }
        for (int32_t pair = 0; pair < 2; pair++) {
            const int16_t *w = weights + pair * BLOCK;
            for (int32_t k = 0; k < BLOCK; k++) {
                both[pair] += (uint32_t)(w[k] * x[k]);
                even[pair] += (uint32_t)((int8_t)w[k] * x[k]);
            }
        }
    }
    for (int32_t pair = 0; pair < 2; pair++) {
        sums[2 * pair] += (int32_t)even[pair];
        sums[2 * pair + 1] += (int32_t)(both[pair] - even[pair]) >> 8;
    }
}
#endif

/* The inputs behind the last whole block. */
OST_INLINE void remaining_inputs(const int8_t *in, const int16_t *weights, int32_t inputs, int32_t sums[4])
{
    for (int32_t pair = 0; pair < 2; pair++) {
        for (int32_t k = 0; k < inputs; k++) {
            const int32_t place = (k & ~3) | (k & 1) << 1 | (k & 2) >> 1; /* SXTB16's order */
            const int32_t both = weights[pair * BLOCK + place], even = (int8_t)both;
            sums[2 * pair] += in[k] * even;
            sums[2 * pair + 1] += in[k] * ((both - even) >> 8);
        }
    }
}

OST_PHASE_FUNCTION static void ost_fully_connected_s8_gemm(const ost_fully_connected_s8_params *params,
                                                           const int8_t *in, int8_t *out)
{
    const ost_fully_connected_s8_params p = *params; /* a copy: int8 stores may alias the original */
    const int32_t blocks = p.inputs / BLOCK, rest = p.inputs % BLOCK;
    const int16_t *weights = p.weights;
    for (int32_t m = 0; m < p.outputs; m += 4) {
        int32_t sums[4] = {p.bias[m], p.bias[m + 1], p.bias[m + 2], p.bias[m + 3]};
        for (int32_t b = 0; b < blocks; b += p.part_blocks) {
            const int32_t count = blocks - b < p.part_blocks ? blocks - b : p.part_blocks;
            ost_fully_connected_s8_blocks(in + b * BLOCK, weights, count, sums);
            weights += count * 2 * BLOCK;
        }
        if (rest > 0) {
            remaining_inputs(in + blocks * BLOCK, weights, rest, sums);
            weights += 2 * BLOCK;
        }
        for (int32_t i = 0; i < 4 && m + i < p.outputs; i++) {
            out[m + i] = ost_finish(&p.output, m + i, sums[i]);
        }
    }
}

int32_t ost_fully_connected_s8_scratch_bytes(const ost_fully_connected_s8_params *params)
{
    (void)params;
    return 0;
}

ost_status ost_fully_connected_s8(const ost_fully_connected_s8_params *params, const ost_scratch *scratch,
                                  const int8_t *in, int8_t *out)
{
    (void)scratch;
    if (!params || !in || !out || !params->weights || !params->bias || !params->output.multiplier ||
        !params->output.shift || params->inputs < 1 || params->outputs < 1 || params->part_blocks < 1) {
        return OST_BAD_ARGUMENT;
    }
    ost_fully_connected_s8_gemm(params, in, out);
    return OST_OK;
}
