/* Maximum pooling of a compiled layer's outputs as they are made: windows lie side by side, so that each output is part of
 * one pooled pixel at most. What is left over at the right and the bottom belongs to none. */
#ifndef OST_REUSE_POOL_H
#define OST_REUSE_POOL_H

#include "ost_types.h"
#include "../support/ost_simd.h"

OST_INLINE int ost_pool_is_valid(const ost_size2 *pool, const ost_shape *outputs)
{
    return pool->height >= 1 && pool->width >= 1 && pool->height <= outputs->height && pool->width <= outputs->width;
}

OST_INLINE int ost_has_pool(const ost_size2 *pool)
{
    return pool->height > 1 || pool->width > 1;
}

/* to[k] = max(to[k], from[k]). */
OST_INLINE void ost_max_bytes(int8_t *to, const int8_t *from, int32_t count)
{
#if OST_HAS_DSP
    for (; count >= 4; count -= 4, to += 4, from += 4) {
        ost_store_u32(to, ost_max_s8x4(ost_load_u32(to), ost_load_u32(from)));
    }
#endif
    for (; count > 0; count--, to++, from++) {
        *to = *from > *to ? *from : *to;
    }
}

#endif /* OST_REUSE_POOL_H */
