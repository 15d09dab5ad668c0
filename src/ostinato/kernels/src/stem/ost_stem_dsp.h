/* DSP instructions that only the stem uses. */
#ifndef OST_STEM_DSP_H
#define OST_STEM_DSP_H

#include "../support/ost_simd.h"

#if OST_HAS_DSP
/* The sum of both products of halfwords. */
OST_INLINE int32_t ost_smuad(uint32_t a, uint32_t b)
{
    int32_t r;
    __asm("smuad %0, %1, %2" : "=r"(r) : "r"(a), "r"(b));
    return r;
}

/* a >> 16, saturated to int8. */
OST_INLINE int32_t ost_ssat8_high(int32_t a)
{
    int32_t r;
    __asm("ssat %0, #8, %1, asr #16" : "=r"(r) : "r"(a) : "cc");
    return r;
}
#endif

#endif /* OST_STEM_DSP_H */
