/* Fixed-point arithmetic of the reuse kernels (the package's quant/arithmetic.py). */
#ifndef OST_REUSE_FIXED_H
#define OST_REUSE_FIXED_H

#include "../support/ost_simd.h"

OST_INLINE int16_t ost_saturate_s16(int32_t value)
{
    return (int16_t)(value > INT16_MAX ? INT16_MAX : value < INT16_MIN ? INT16_MIN : value);
}

OST_INLINE int8_t ost_saturate_s8(int32_t value)
{
    return (int8_t)(value > INT8_MAX ? INT8_MAX : value < INT8_MIN ? INT8_MIN : value);
}

/* What SMMULR computes. */
OST_INLINE int32_t ost_rounding_high_multiply(int32_t a, int32_t b)
{
    return (int32_t)(((int64_t)a * b + ((int64_t)1 << 31)) >> 32);
}

/* `count` sums (an even number) += row, saturated. */
OST_INLINE void ost_add_saturated(int8_t *sums, const int16_t *row, int32_t count)
{
    for (int32_t k = 0; k < count; k += 2) {
        const uint32_t a = ost_load_u32(sums + 2 * k), b = ost_load_u32(row + k);
#if OST_HAS_DSP
        ost_store_u32(sums + 2 * k, ost_qadd16(a, b));
#else
        const int32_t low = ost_saturate_s16((int16_t)a + (int16_t)b);
        const int32_t high = ost_saturate_s16((int16_t)(a >> 16) + (int16_t)(b >> 16));
        ost_store_u32(sums + 2 * k, ((uint32_t)low & 0xffffu) | (uint32_t)high << 16);
#endif
    }
}

#endif /* OST_REUSE_FIXED_H */
