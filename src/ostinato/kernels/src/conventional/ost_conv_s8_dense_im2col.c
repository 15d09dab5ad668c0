/* Pixels laid out for the dense convolution. Input rows are widened by SXTB16 without reordering; the weights are stored in
 * the order that this gives. */
#include "../support/ost_simd.h"
#include "ost_conv_s8_dense_run.h"

/* Widens whole blocks of 16 columns of one pixel; blocks of the two pixels alternate. */
OST_INLINE int16_t *widen_blocks(int16_t *to, const int8_t *from, int32_t count)
{
    for (; count > 0; count -= OST_DENSE_BLOCK, from += OST_DENSE_BLOCK, to += 2 * OST_DENSE_BLOCK) {
#if OST_HAS_DSP
        const uint32_t a = ost_load_u32(from), b = ost_load_u32(from + 4);
        const uint32_t c = ost_load_u32(from + 8), d = ost_load_u32(from + 12);
        ost_store_u32(to, ost_sxtb16(a));
        ost_store_u32(to + 2, ost_sxtb16_ror8(a));
        ost_store_u32(to + 4, ost_sxtb16(b));
        ost_store_u32(to + 6, ost_sxtb16_ror8(b));
        ost_store_u32(to + 8, ost_sxtb16(c));
        ost_store_u32(to + 10, ost_sxtb16_ror8(c));
        ost_store_u32(to + 12, ost_sxtb16(d));
        ost_store_u32(to + 14, ost_sxtb16_ror8(d));
#else
        for (int32_t k = 0; k < OST_DENSE_BLOCK; k += 4) {
            to[k] = from[k];
            to[k + 1] = from[k + 2];
            to[k + 2] = from[k + 1];
            to[k + 3] = from[k + 3];
        }
#endif
    }
    return to;
}

/* One pixel's K columns as int8, from a window that lies in the input. */
OST_INLINE void gather_inside(const ost_window *w, const int8_t *from, int8_t *to)
{
    const int32_t run = w->kernel.width * w->input.channels;
    const int32_t step = w->dilation.height * w->input.width * w->input.channels;
    int32_t kh = 1;
    if (run >= 8) { /* up to 7 bytes too many: there is a next row to read them from, and it overwrites them */
        for (; kh < w->kernel.height; kh++, from += step, to += run) {
            ost_copy_eights(to, from, run);
        }
    }
    for (; kh <= w->kernel.height; kh++, from += step, to += run) {
        ost_copy_bytes(to, from, run);
    }
}

/* One pixel's K columns as int8; outside the input they hold the zero point. */
OST_INLINE void gather(const ost_conv_s8_dense_params *params, const int8_t *in, int32_t y, int32_t x, int8_t *to)
{
    const ost_window *w = &params->window;
    const int32_t channels = w->input.channels;
    const int8_t zero = (int8_t)params->input_zero_point;
    const ost_range taps = ost_valid_positions(x, w->kernel.width, w->dilation.width, w->input.width);
    const int32_t step = w->dilation.width == 1 ? taps.end - taps.first : 1; /* taps that lie together */
    for (int32_t kh = 0, row = y; kh < w->kernel.height; kh++, row += w->dilation.height) {
        int8_t *end = to + w->kernel.width * channels;
        if (row >= 0 && row < w->input.height && taps.first < taps.end) {
            const int8_t *from = in + (row * w->input.width + x + taps.first * w->dilation.width) * channels;
            ost_fill_bytes(to, zero, taps.first * channels);
            to += taps.first * channels;
            for (int32_t kw = taps.first; kw < taps.end; kw += step, to += step * channels) {
                ost_copy_bytes(to, from, step * channels);
                from += w->dilation.width * channels;
            }
        }
        ost_fill_bytes(to, zero, (int32_t)(end - to));
        to = end;
    }
}

/* Whole blocks of one value. */
OST_INLINE int16_t *fill_blocks(int16_t *to, int32_t value, int32_t count)
{
    const uint32_t both = (uint16_t)value * 0x10001u;
    for (; count > 0; count -= OST_DENSE_BLOCK, to += 2 * OST_DENSE_BLOCK) {
        for (int32_t k = 0; k < OST_DENSE_BLOCK; k += 2) {
            ost_store_u32(to + k, both);
        }
    }
    return to;
}

/* One pixel whose window reaches into the padding, where every tap is whole blocks: nothing is gathered. */
OST_INLINE void widen_taps(const ost_conv_s8_dense_params *params, const int8_t *in, int32_t y, int32_t x, int16_t *to)
{
    const ost_window *w = &params->window;
    const int32_t channels = w->input.channels, zero = params->input_zero_point;
    const ost_range taps = ost_valid_positions(x, w->kernel.width, 1, w->input.width);
    for (int32_t kh = 0, row = y; kh < w->kernel.height; kh++, row += w->dilation.height) {
        if (row < 0 || row >= w->input.height || taps.first >= taps.end) {
            to = fill_blocks(to, zero, w->kernel.width * channels);
            continue;
        }
        const int8_t *from = in + (row * w->input.width + x + taps.first) * channels;
        to = fill_blocks(to, zero, taps.first * channels);
        to = widen_blocks(to, from, (taps.end - taps.first) * channels);
        to = fill_blocks(to, zero, (w->kernel.width - taps.end) * channels);
    }
}

OST_PHASE_FUNCTION void ost_conv_s8_dense_im2col(const ost_dense_run *run, int32_t y, int32_t x, int16_t *to)
{
    const ost_conv_s8_dense_params *params = run->params;
    const ost_window *w = &params->window;
    const int8_t *in = run->in;
    const int32_t length = w->kernel.width * w->input.channels;
    const int inside = y >= 0 && y + (w->kernel.height - 1) * w->dilation.height < w->input.height && x >= 0 &&
                       x + w->kernel.width <= w->input.width && (w->dilation.width == 1 || w->kernel.width == 1);
    const int8_t *from = inside ? in + (y * w->input.width + x) * w->input.channels : in;
    if (inside && length % OST_DENSE_BLOCK == 0) {
        const int32_t step = w->dilation.height * w->input.width * w->input.channels;
        for (int32_t kh = 0; kh < w->kernel.height; kh++, from += step) {
            to = widen_blocks(to, from, length);
        }
        return;
    }
    if (!inside && w->dilation.width == 1 && w->input.channels % OST_DENSE_BLOCK == 0) {
        widen_taps(params, in, y, x, to);
        return;
    }
    const int32_t padded = ost_dense_columns(w), front = padded - ost_window_columns(w);
    if (inside && w->kernel.height == 1 && from - in >= front) { /* what is in front meets weights of zero */
        widen_blocks(to, from - front, padded);
        return;
    }
    int8_t *columns = run->gather + front; /* what is in front was filled once */
    if (inside) {
        gather_inside(w, from, columns);
    } else {
        gather(params, in, y, x, columns);
    }
    widen_blocks(to, run->gather, padded);
}
