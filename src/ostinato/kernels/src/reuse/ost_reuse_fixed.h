/* Fixed-point arithmetic of the plain-C reuse kernels (the package's quant/arithmetic.py). */
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

#endif /* OST_REUSE_FIXED_H */
