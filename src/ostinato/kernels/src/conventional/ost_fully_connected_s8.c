/* Fully connected: int8 weights, four outputs a pass. A pass reads the input once and its weights in address order.
 *
 * weights: ceil(M/4) x ceil(K/16) x 4 outputs x 16 inputs, zero-padded; the input is never read past K. */
#include "ost_conventional.h"
#include "../support/ost_requantize.h"
#include "../support/ost_simd.h"

#define BLOCK 16

/* Adds the products of blocks x 16 inputs (at least one block) to the sums of four outputs. */
#if OST_HAS_DSP
void ost_fully_connected_s8_blocks(const int8_t *in, const int8_t *weights, int32_t blocks, int32_t sums[4]);
#else
static void ost_fully_connected_s8_blocks(const int8_t *in, const int8_t *weights, int32_t blocks, int32_t sums[4])
{
    for (int32_t m = 0; m < 4; m++) {
        int32_t sum = sums[m];
        for (int32_t b = 0; b < blocks; b++) {
            const int8_t *x = in + b * BLOCK, *w = weights + (4 * b + m) * BLOCK;
            for (int32_t k = 0; k < BLOCK; k++) {
                sum += x[k] * w[k];
            }
        }
        sums[m] = sum;
    }
}
#endif

/* The inputs behind the last whole block. */
OST_INLINE void remaining_inputs(const int8_t *in, const int8_t *weights, int32_t inputs, int32_t sums[4])
{
    for (int32_t m = 0; m < 4; m++) {
        for (int32_t k = 0; k < inputs; k++) {
            sums[m] += in[k] * weights[m * BLOCK + k];
        }
    }
}

OST_PHASE_FUNCTION static void ost_fully_connected_s8_gemm(const ost_fully_connected_s8_params *params,
                                                           const int8_t *in, int8_t *out)
{
    const ost_fully_connected_s8_params p = *params; /* a copy: int8 stores may alias the original */
    const int32_t blocks = p.inputs / BLOCK, rest = p.inputs % BLOCK;
    const int8_t *weights = p.weights;
    for (int32_t m = 0; m < p.outputs; m += 4) {
        int32_t sums[4] = {p.bias[m], p.bias[m + 1], p.bias[m + 2], p.bias[m + 3]};
        if (blocks > 0) {
            ost_fully_connected_s8_blocks(in, weights, blocks, sums);
            weights += blocks * 4 * BLOCK;
        }
        if (rest > 0) {
            remaining_inputs(in + blocks * BLOCK, weights, rest, sums);
            weights += 4 * BLOCK;
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
        !params->output.shift || params->inputs < 1 || params->outputs < 1) {
        return OST_BAD_ARGUMENT;
    }
    ost_fully_connected_s8_gemm(params, in, out);
    return OST_OK;
}
