/* Outputs of int8 from their int16 sums, in image scope. */
#ifndef OST_REUSE_FINISH_H
#define OST_REUSE_FINISH_H

#include "ost_reuse_fixed.h"

/* Up to four channels, from the order 0 2 1 3. */
OST_INLINE void ost_reuse_finish_some(int8_t *to, const int8_t *from, int32_t bits, int32_t count)
{
    const uint32_t even = ost_load_u32(from), odd = ost_load_u32(from + 4);
    /* No loop: it would be unrolled for counts that do not occur. */
    to[0] = ost_saturate_s8((int16_t)even >> bits);
    if (count > 1) {
        to[1] = ost_saturate_s8((int16_t)odd >> bits);
    }
    if (count > 2) {
        to[2] = ost_saturate_s8((int16_t)(even >> 16) >> bits);
    }
    if (count > 3) {
        to[3] = ost_saturate_s8((int16_t)(odd >> 16) >> bits);
    }
}

#if OST_HAS_DSP
/* Two sums to what int8 holds behind a shift by `bits`. */
OST_INLINE uint32_t ost_reuse_clamp_both(uint32_t sums, int32_t bits)
{
    const uint32_t high = (0x00800080u << bits) - 0x00010001u, low = 0xff80ff80u << bits & 0xffff0000u;
    return ost_max_s16x2(ost_min_s16x2(sums, high), low | low >> 16);
}
#endif

/* A position's outputs. */
OST_INLINE void ost_reuse_finish_sums(const int8_t *sums, int32_t channels, int32_t bits, int8_t *out)
{
    int32_t m = 0;
    for (; m + 4 <= channels; m += 4) {
#if OST_HAS_DSP
        const uint32_t even = ost_reuse_clamp_both(ost_load_u32(sums + 2 * m), bits);
        const uint32_t odd = ost_reuse_clamp_both(ost_load_u32(sums + 2 * m + 4), bits);
        ost_store_u32(out + m, (even >> bits & 0x00ff00ffu) | (odd << (8 - bits) & 0xff00ff00u));
#else
        ost_reuse_finish_some(out + m, sums + 2 * m, bits, 4);
#endif
    }
    if (m < channels) {
        ost_reuse_finish_some(out + m, sums + 2 * m, bits, channels - m);
    }
}

#endif /* OST_REUSE_FINISH_H */
