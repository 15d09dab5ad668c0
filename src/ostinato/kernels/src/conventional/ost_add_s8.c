/* Elementwise sum of two tensors, each with a scale of its own: one SMLAD an element.
 *
 * `out` may be one of the inputs: every element is read before it is written.
 *
 * acc = offset + a * first_multiplier + b * second_multiplier; out = clamp(acc >> fraction_bits). Multipliers are below
 * 2^15 and the offset folds zero points and rounding, so that int32 is enough (quant/quantize_join.py proves it). */
#include "ost_conventional.h"
#include "../support/ost_requantize.h"
#include "../support/ost_window.h"

/* Most fraction bits, and those of the fast path: what the quantiser takes unless a term's scale is over twice the sum's. */
#define ADD_FRACTION 14

OST_INLINE int8_t add_one(const ost_add_s8_params *p, int8_t a, int8_t b)
{
    const int32_t sum = p->offset + a * p->first_multiplier + b * p->second_multiplier;
    return (int8_t)ost_clamp(sum >> p->fraction_bits, p->activation_min, p->activation_max);
}

#if OST_HAS_DSP
/* Halfwords: high's sum on top, low's below, both shifted right by ADD_FRACTION and saturated to int8. */
OST_INLINE uint32_t finish_pair(int32_t low, int32_t high)
{
    uint32_t r;
    __asm("pkhtb %0, %1, %2, asr %3" : "=r"(r) : "r"((uint32_t)high << (16 - ADD_FRACTION)), "r"(low), "I"(ADD_FRACTION));
    return ost_uxtb16(ost_ssat16_8(r));
}

/* Four elements of ADD_FRACTION bits, clamped by int8 alone; multipliers packed, the first one low. */
OST_INLINE uint32_t add_four(uint32_t a, uint32_t b, uint32_t multipliers, int32_t offset)
{
    const uint32_t a02 = ost_sxtb16(a), b02 = ost_sxtb16(b), a13 = ost_sxtb16_ror8(a), b13 = ost_sxtb16_ror8(b);
    const int32_t s0 = ost_smlad(ost_pkhbt16(a02, b02), multipliers, offset);
    const int32_t s2 = ost_smlad(ost_pkhtb16(b02, a02), multipliers, offset);
    const int32_t s1 = ost_smlad(ost_pkhbt16(a13, b13), multipliers, offset);
    const int32_t s3 = ost_smlad(ost_pkhtb16(b13, a13), multipliers, offset);
    return finish_pair(s0, s2) | (finish_pair(s1, s3) << 8);
}
#endif

OST_PHASE_FUNCTION static void ost_add_s8_elements(const ost_add_s8_params *p, const int8_t *a, const int8_t *b,
                                                   int8_t *out)
{
    int32_t left = p->count;
#if OST_HAS_DSP
    if (p->activation_min == INT8_MIN && p->activation_max == INT8_MAX && p->fraction_bits == ADD_FRACTION) {
        const uint32_t multipliers = ost_pkhbt16((uint32_t)p->first_multiplier, (uint32_t)p->second_multiplier);
        const int32_t offset = p->offset;
        for (; left >= 4; left -= 4, a += 4, b += 4, out += 4) {
            ost_store_u32(out, add_four(ost_load_u32(a), ost_load_u32(b), multipliers, offset));
        }
    }
#endif
    for (; left > 0; left--) {
        *out++ = add_one(p, *a++, *b++);
    }
}

int32_t ost_add_s8_scratch_bytes(const ost_add_s8_params *params)
{
    (void)params;
    return 0;
}

ost_status ost_add_s8(const ost_add_s8_params *params, const ost_scratch *scratch, const int8_t *const *in, int8_t *out)
{
    (void)scratch;
    if (!params || !in || !in[0] || !in[1] || !out || params->count < 1 || params->fraction_bits < 1 ||
        params->fraction_bits > ADD_FRACTION || params->first_multiplier < 0 ||
        params->first_multiplier > INT16_MAX || params->second_multiplier < 0 ||
        params->second_multiplier > INT16_MAX || params->activation_min < INT8_MIN ||
        params->activation_max > INT8_MAX || params->activation_min > params->activation_max) {
        return OST_BAD_ARGUMENT;
    }
    ost_add_s8_elements(params, in[0], in[1], out);
    return OST_OK;
}
