/* Softmax of one vector: exponentials from a table of the distance to the largest element, then one division each. */
#include "ost_conventional.h"
#include "../support/ost_simd.h"

#define MOST_CLASSES 32768 /* the sum of their table entries is below 2^31 */

OST_PHASE_FUNCTION static void ost_softmax_s8_elements(const ost_softmax_s8_params *params, const int8_t *in,
                                                       int8_t *out)
{
    const uint16_t *table = params->table;
    int32_t largest = INT8_MIN;
    for (int32_t i = 0; i < params->count; i++) {
        largest = in[i] > largest ? in[i] : largest;
    }
    uint32_t sum = 0;
    for (int32_t i = 0; i < params->count; i++) {
        sum += table[largest - in[i]];
    }
    for (int32_t i = 0; i < params->count; i++) {
        const uint32_t share = (256u * table[largest - in[i]] + sum / 2u) / sum;
        out[i] = (int8_t)((share > 255u ? 255 : (int32_t)share) - 128);
    }
}

int32_t ost_softmax_s8_scratch_bytes(const ost_softmax_s8_params *params)
{
    (void)params;
    return 0;
}

ost_status ost_softmax_s8(const ost_softmax_s8_params *params, const ost_scratch *scratch, const int8_t *in,
                          int8_t *out)
{
    (void)scratch;
    if (!params || !in || !out || !params->table || params->count < 1 || params->count > MOST_CLASSES) {
        return OST_BAD_ARGUMENT;
    }
    ost_softmax_s8_elements(params, in, out);
    return OST_OK;
}
