/* The Cortex-M DSP instructions that the kernels use, as inline functions with their architectural names.
 * OST_HAS_DSP is 1 where they exist and OST_PLAIN_C does not forbid them. */
#ifndef OST_SIMD_H
#define OST_SIMD_H

#include <stdint.h>
#include <string.h>

#if defined(__ARM_FEATURE_DSP) && (__ARM_FEATURE_DSP == 1) && !defined(OST_PLAIN_C)
#define OST_HAS_DSP 1
#else
#define OST_HAS_DSP 0
#endif

#define OST_INLINE static inline __attribute__((always_inline))
/* A function of its own in every build, so that the simulator can attribute its cycles to a phase. */
#define OST_PHASE_FUNCTION __attribute__((noinline))

/* Unaligned 32-bit access: one LDR/STR on Cortex-M4/M7. The builtin, because a freestanding compiler calls memcpy. */
OST_INLINE uint32_t ost_load_u32(const void *p)
{
    uint32_t v;
    __builtin_memcpy(&v, p, sizeof v);
    return v;
}

OST_INLINE void ost_store_u32(void *p, uint32_t v)
{
    __builtin_memcpy(p, &v, sizeof v);
}

#if OST_HAS_DSP
OST_INLINE uint32_t ost_sxtb16(uint32_t a)
{
    uint32_t r;
    __asm("sxtb16 %0, %1" : "=r"(r) : "r"(a));
    return r;
}

OST_INLINE uint32_t ost_sxtb16_ror8(uint32_t a)
{
    uint32_t r;
    __asm("sxtb16 %0, %1, ror #8" : "=r"(r) : "r"(a));
    return r;
}

OST_INLINE uint32_t ost_sxtab16(uint32_t acc, uint32_t a)
{
    uint32_t r;
    __asm("sxtab16 %0, %1, %2" : "=r"(r) : "r"(acc), "r"(a));
    return r;
}

OST_INLINE uint32_t ost_sxtab16_ror8(uint32_t acc, uint32_t a)
{
    uint32_t r;
    __asm("sxtab16 %0, %1, %2, ror #8" : "=r"(r) : "r"(acc), "r"(a));
    return r;
}

OST_INLINE int32_t ost_smlad(uint32_t a, uint32_t b, int32_t acc)
{
    int32_t r;
    __asm("smlad %0, %1, %2, %3" : "=r"(r) : "r"(a), "r"(b), "r"(acc));
    return r;
}

/* acc + low halfword of a times low halfword of b. */
OST_INLINE int32_t ost_smlabb(uint32_t a, uint32_t b, int32_t acc)
{
    int32_t r;
    __asm("smlabb %0, %1, %2, %3" : "=r"(r) : "r"(a), "r"(b), "r"(acc));
    return r;
}

/* acc + high halfword of a times low halfword of b. */
OST_INLINE int32_t ost_smlatb(uint32_t a, uint32_t b, int32_t acc)
{
    int32_t r;
    __asm("smlatb %0, %1, %2, %3" : "=r"(r) : "r"(a), "r"(b), "r"(acc));
    return r;
}

OST_INLINE int32_t ost_smmul(int32_t a, int32_t b)
{
    int32_t r;
    __asm("smmul %0, %1, %2" : "=r"(r) : "r"(a), "r"(b));
    return r;
}

OST_INLINE int32_t ost_smmulr(int32_t a, int32_t b)
{
    int32_t r;
    __asm("smmulr %0, %1, %2" : "=r"(r) : "r"(a), "r"(b));
    return r;
}

OST_INLINE uint32_t ost_qadd16(uint32_t a, uint32_t b)
{
    uint32_t r;
    __asm("qadd16 %0, %1, %2" : "=r"(r) : "r"(a), "r"(b));
    return r;
}

/* ((acc << 32) + a * b + 2^31) >> 32. */
OST_INLINE int32_t ost_smmlar(int32_t a, int32_t b, int32_t acc)
{
    int32_t r;
    __asm("smmlar %0, %1, %2, %3" : "=r"(r) : "r"(a), "r"(b), "r"(acc));
    return r;
}

OST_INLINE int32_t ost_ssat8(int32_t a)
{
    int32_t r;
    __asm("ssat %0, #8, %1" : "=r"(r) : "r"(a) : "cc");
    return r;
}

/* Both halfwords saturated to int8, in 16 bits. */
OST_INLINE uint32_t ost_ssat16_8(uint32_t a)
{
    uint32_t r;
    __asm("ssat16 %0, #8, %1" : "=r"(r) : "r"(a) : "cc");
    return r;
}

/* Bytes 0 and 2, zero-extended. */
OST_INLINE uint32_t ost_uxtb16(uint32_t a)
{
    uint32_t r;
    __asm("uxtb16 %0, %1" : "=r"(r) : "r"(a));
    return r;
}

/* Low halfwords of a and b. */
OST_INLINE uint32_t ost_pkhbt16(uint32_t a, uint32_t b)
{
    uint32_t r;
    __asm("pkhbt %0, %1, %2, lsl #16" : "=r"(r) : "r"(a), "r"(b));
    return r;
}

/* High halfwords: a's on top, b's below. */
OST_INLINE uint32_t ost_pkhtb16(uint32_t a, uint32_t b)
{
    uint32_t r;
    __asm("pkhtb %0, %1, %2, asr #16" : "=r"(r) : "r"(a), "r"(b));
    return r;
}

/* Halfword-wise signed maximum and minimum. */
OST_INLINE uint32_t ost_max_s16x2(uint32_t a, uint32_t b)
{
    uint32_t r;
    __asm("ssub16 %0, %1, %2\n\tsel %0, %1, %2" : "=&r"(r) : "r"(a), "r"(b) : "cc");
    return r;
}

OST_INLINE uint32_t ost_min_s16x2(uint32_t a, uint32_t b)
{
    uint32_t r;
    __asm("ssub16 %0, %1, %2\n\tsel %0, %2, %1" : "=&r"(r) : "r"(a), "r"(b) : "cc");
    return r;
}

/* Byte-wise signed maximum. One statement: SEL reads the flags that SSUB8 sets. */
OST_INLINE uint32_t ost_max_s8x4(uint32_t a, uint32_t b)
{
    uint32_t r;
    __asm("ssub8 %0, %1, %2\n\tsel %0, %1, %2" : "=&r"(r) : "r"(a), "r"(b) : "cc");
    return r;
}
#endif /* OST_HAS_DSP */

#endif /* OST_SIMD_H */
