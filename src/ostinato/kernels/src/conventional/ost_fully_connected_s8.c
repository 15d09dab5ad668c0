/* Fully connected: int8 weights, four outputs a pass. A pass reads the input once and its weights in address order.
 *
 * weights: ceil(M/4) x ceil(K/16) x 4 outputs x 16 inputs, zero-padded; the input is never read past K. */
#include "ost_conventional.h"
#include "../support/ost_requantize.h"
#include "../support/ost_simd.h"
#include "../support/ost_window.h"

#define BLOCK 16

#if OST_HAS_DSP
OST_INLINE int32_t dot4(int32_t sum, uint32_t even, uint32_t odd, const int8_t *weights)
{
    const uint32_t w = ost_load_u32(weights);
    sum = ost_smlad(even, ost_sxtb16(w), sum);
    return ost_smlad(odd, ost_sxtb16_ror8(w), sum);
}

OST_INLINE void sums_of_word(int32_t sums[4], uint32_t word, const int8_t *weights)
{
    const uint32_t even = ost_sxtb16(word), odd = ost_sxtb16_ror8(word);
    sums[0] = dot4(sums[0], even, odd, weights);
    sums[1] = dot4(sums[1], even, odd, weights + BLOCK);
    sums[2] = dot4(sums[2], even, odd, weights + 2 * BLOCK);
    sums[3] = dot4(sums[3], even, odd, weights + 3 * BLOCK);
}

OST_INLINE void four_outputs(int32_t sums[4], const int8_t *in, const int8_t *weights, int32_t inputs)
{
    for (; inputs >= BLOCK; inputs -= BLOCK, in += BLOCK, weights += 4 * BLOCK) {
        sums_of_word(sums, ost_load_u32(in), weights);
        sums_of_word(sums, ost_load_u32(in + 4), weights + 4);
        sums_of_word(sums, ost_load_u32(in + 8), weights + 8);
        sums_of_word(sums, ost_load_u32(in + 12), weights + 12);
    }
    for (; inputs >= 4; inputs -= 4, in += 4, weights += 4) {
        sums_of_word(sums, ost_load_u32(in), weights);
    }
    if (inputs > 0) {
        uint32_t word = 0;
        for (int32_t k = 0; k < inputs; k++) {
            word |= (uint32_t)(uint8_t)in[k] << (8 * k);
        }
        sums_of_word(sums, word, weights);
    }
}
#else
OST_INLINE void four_outputs(int32_t sums[4], const int8_t *in, const int8_t *weights, int32_t inputs)
{
    for (; inputs >= BLOCK; inputs -= BLOCK, in += BLOCK, weights += 4 * BLOCK) {
        for (int32_t m = 0; m < 4; m++) {
            for (int32_t k = 0; k < BLOCK; k++) {
                sums[m] += in[k] * weights[m * BLOCK + k];
            }
        }
    }
    for (int32_t m = 0; m < 4; m++) {
        for (int32_t k = 0; k < inputs; k++) {
            sums[m] += in[k] * weights[m * BLOCK + k];
        }
    }
}
#endif

OST_PHASE_FUNCTION static void ost_fully_connected_s8_gemm(const ost_fully_connected_s8_params *params,
                                                           const int8_t *in, int8_t *out)
{
    const int8_t *weights = params->weights;
    const int32_t group_bytes = 4 * ost_round_up(params->inputs, BLOCK);
    for (int32_t m = 0; m < params->outputs; m += 4, weights += group_bytes) {
        int32_t sums[4] = {params->bias[m], params->bias[m + 1], params->bias[m + 2], params->bias[m + 3]};
        four_outputs(sums, in, weights, params->inputs);
        for (int32_t i = 0; i < 4 && m + i < params->outputs; i++) {
            out[m + i] = ost_finish(&params->output, m + i, sums[i]);
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
