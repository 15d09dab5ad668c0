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
/* A sum shifted right by ADD_FRACTION and saturated to int8. */
OST_INLINE uint32_t finish(int32_t sum)
{
    uint32_t r;
    __asm("ssat %0, #8, %1, asr %2" : "=r"(r) : "r"(sum), "I"(ADD_FRACTION) : "cc");
    return r;
}

/* Four elements of ADD_FRACTION bits, clamped by int8 alone; multipliers packed, the first one low. */
OST_INLINE uint32_t add_four(uint32_t a, uint32_t b, uint32_t multipliers, int32_t offset)
{
    const uint32_t low = ost_pkhbt16(a, b), high = ost_pkhtb16(b, a); /* two elements of a, then two of b */
    uint32_t four = finish(ost_smlad(ost_sxtb16(low), multipliers, offset));
    const uint32_t second = finish(ost_smlad(ost_sxtb16_ror8(low), multipliers, offset));
    const uint32_t third = finish(ost_smlad(ost_sxtb16(high), multipliers, offset));
    const uint32_t fourth = finish(ost_smlad(ost_sxtb16_ror8(high), multipliers, offset));
    __asm("bfi %0, %1, #8, #8\n\tbfi %0, %2, #16, #8\n\tbfi %0, %3, #24, #8"
          : "+&r"(four) : "r"(second), "r"(third), "r"(fourth));
    return four;
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
        for (; left >= 8; left -= 8, a += 8, b += 8, out += 8) {
            const uint32_t a0 = ost_load_u32(a), a4 = ost_load_u32(a + 4), b0 = ost_load_u32(b), b4 = ost_load_u32(b + 4);
            ost_store_u32(out, add_four(a0, b0, multipliers, offset));
            ost_store_u32(out + 4, add_four(a4, b4, multipliers, offset));
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
