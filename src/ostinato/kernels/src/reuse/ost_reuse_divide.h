/* Means: division by a cluster's number of members, most of the time by multiplication. */
#ifndef OST_REUSE_DIVIDE_H
#define OST_REUSE_DIVIDE_H

#include "../support/ost_simd.h"

/* trunc(value / members) as the high word of value * reciprocal, plus one below zero. The reciprocal is 2^32 / members
 * rounded up, and up by one where it is a whole number: with an excess e in (0, 1] the product is value / members plus
 * value * e / 2^32, and that is no step too far while |value| * members < 2^32. Here |value| <= 128 * 255 * members. */
#define OST_FEWEST_BY_RECIPROCAL 3 /* 2^32 / members must be an int32 */
#define OST_MOST_BY_RECIPROCAL 362

/* 0: divide. */
OST_INLINE int32_t ost_reciprocal_of(int32_t members)
{
    if (members < OST_FEWEST_BY_RECIPROCAL || members > OST_MOST_BY_RECIPROCAL) {
        return 0;
    }
    const int whole = (members & (members - 1)) == 0;
    return (int32_t)(UINT32_MAX / (uint32_t)members) + 1 + whole;
}

/* The reciprocal is not 0. */
OST_INLINE int32_t ost_divide_by(int32_t value, int32_t reciprocal)
{
#if OST_HAS_DSP
    return ost_smmul(value, reciprocal) + (int32_t)((uint32_t)value >> 31);
#else
    return (int32_t)(((int64_t)value * reciprocal) >> 32) + (value < 0);
#endif
}

OST_INLINE int32_t ost_divide(int32_t value, int32_t members, int32_t reciprocal)
{
    return reciprocal == 0 ? value / members : ost_divide_by(value, reciprocal);
}

#endif /* OST_REUSE_DIVIDE_H */
