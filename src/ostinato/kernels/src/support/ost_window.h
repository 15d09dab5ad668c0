/* Geometry of a convolution's or a pooling's window, shared by the kernels. */
#ifndef OST_WINDOW_H
#define OST_WINDOW_H

#include "ost_simd.h"

#include "ost_types.h"

/* Sizes are positive and the last window lies within the padded input. */
OST_INLINE int ost_window_is_valid(const ost_window *w)
{
    if (w->input.height < 1 || w->input.width < 1 || w->input.channels < 1 || w->output.height < 1 ||
        w->output.width < 1 || w->output.channels < 1 || w->kernel.height < 1 || w->kernel.width < 1 ||
        w->stride.height < 1 || w->stride.width < 1 || w->dilation.height < 1 || w->dilation.width < 1 ||
        w->padding.height < 0 || w->padding.width < 0) {
        return 0;
    }
    const int32_t bottom = (w->output.height - 1) * w->stride.height + (w->kernel.height - 1) * w->dilation.height;
    const int32_t right = (w->output.width - 1) * w->stride.width + (w->kernel.width - 1) * w->dilation.width;
    return bottom < w->input.height + 2 * w->padding.height && right < w->input.width + 2 * w->padding.width;
}

/* K, the length of an im2col row. */
OST_INLINE int32_t ost_window_columns(const ost_window *w)
{
    return w->kernel.height * w->kernel.width * w->input.channels;
}

OST_INLINE int32_t ost_round_up(int32_t value, int32_t multiple)
{
    return (value + multiple - 1) / multiple * multiple;
}

/* Kernel positions [first, end) along one axis whose input coordinate start + k * dilation lies in [0, size). */
typedef struct {
    int32_t first;
    int32_t end;
} ost_range;

OST_INLINE ost_range ost_valid_positions(int32_t start, int32_t kernel, int32_t dilation, int32_t size)
{
    ost_range r = {0, kernel};
    if (start < 0) {
        const int32_t first = (dilation - 1 - start) / dilation;
        r.first = first < kernel ? first : kernel;
    }
    if (start + (kernel - 1) * dilation >= size) {
        const int32_t end = start < size ? (size - start + dilation - 1) / dilation : 0;
        r.end = end > r.first ? end : r.first;
    }
    return r;
}

/* Keeps a copying loop a loop: compilers turn it into a call of memcpy, whose cycles are then nobody's phase. */
#if OST_HAS_DSP
#define OST_KEEP_LOOP() __asm volatile("" ::: "memory")
#else
#define OST_KEEP_LOOP() ((void)0)
#endif

/* Copies count bytes rounded up to a multiple of eight. */
OST_INLINE void ost_copy_eights(int8_t *to, const int8_t *from, int32_t count)
{
    for (; count > 0; count -= 8, to += 8, from += 8) {
        const uint32_t first = ost_load_u32(from), second = ost_load_u32(from + 4);
        ost_store_u32(to, first);
        ost_store_u32(to + 4, second);
        OST_KEEP_LOOP();
    }
}

OST_INLINE void ost_copy_bytes(int8_t *to, const int8_t *from, int32_t count)
{
    for (; count >= 4; count -= 4, to += 4, from += 4) {
        ost_store_u32(to, ost_load_u32(from));
        OST_KEEP_LOOP();
    }
    for (; count > 0; count--) {
        *to++ = *from++;
        OST_KEEP_LOOP();
    }
}

OST_INLINE void ost_fill_bytes(int8_t *to, int8_t value, int32_t count)
{
    const uint32_t four = (uint8_t)value * 0x01010101u;
    for (; count >= 4; count -= 4, to += 4) {
        ost_store_u32(to, four);
        OST_KEEP_LOOP();
    }
    for (; count > 0; count--) {
        *to++ = value;
        OST_KEEP_LOOP();
    }
}

#endif /* OST_WINDOW_H */
