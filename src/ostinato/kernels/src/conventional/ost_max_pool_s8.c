/* Maximum pooling: 16 channels stay in registers while the window goes by. Padding never wins (it counts as -128).
 *
 * Windows of 3 x 3 at a stride of 2 share columns with their neighbours. A row of them goes by together in the DSP code,
 * but for those that end in padding: the maximum over a column's rows is found once for both windows that it is in.
 * Windows of 2 x 2 side by side have a loop of their own. */
#include "ost_conventional.h"
#include "../support/ost_simd.h"
#include "ost_max_pool_s8_columns.h"
#include "ost_pool.h"

#define CHANNELS 16

#if OST_HAS_DSP
OST_INLINE void pool_positions(const ost_pool_view *v, int32_t rows, int32_t columns, int32_t channel, int8_t *out)
{
    uint32_t a = 0x80808080u, b = a, c = a, d = a;
    const int8_t *row = v->in + channel;
    for (int32_t y = 0; y < rows; y++, row += v->row_step) {
        const int8_t *at = row;
        for (int32_t x = 0; x < columns; x++, at += v->column_step) {
            const uint32_t p = ost_load_u32(at), q = ost_load_u32(at + 4);
            const uint32_t r = ost_load_u32(at + 8), s = ost_load_u32(at + 12);
            a = ost_max_s8x4(a, p);
            b = ost_max_s8x4(b, q);
            c = ost_max_s8x4(c, r);
            d = ost_max_s8x4(d, s);
        }
    }
    ost_store_u32(out + channel, a);
    ost_store_u32(out + channel + 4, b);
    ost_store_u32(out + channel + 8, c);
    ost_store_u32(out + channel + 12, d);
}

OST_INLINE void pool_channels(const ost_pool_view *v, int32_t channel, int8_t *out)
{
    pool_positions(v, v->rows, v->columns, channel, out);
}
#else
OST_INLINE void pool_channels(const ost_pool_view *v, int32_t channel, int8_t *out)
{
    int8_t largest[CHANNELS];
    for (int32_t c = 0; c < CHANNELS; c++) {
        largest[c] = INT8_MIN;
    }
    for (int32_t y = 0; y < v->rows; y++) {
        for (int32_t x = 0; x < v->columns; x++) {
            const int8_t *at = v->in + y * v->row_step + x * v->column_step + channel;
            for (int32_t c = 0; c < CHANNELS; c++) {
                largest[c] = at[c] > largest[c] ? at[c] : largest[c];
            }
        }
    }
    for (int32_t c = 0; c < CHANNELS; c++) {
        out[channel + c] = largest[c];
    }
}
#endif

OST_INLINE void pool_channel(const ost_pool_view *v, int32_t channel, int8_t *out)
{
    int8_t largest = INT8_MIN;
    for (int32_t y = 0; y < v->rows; y++) {
        for (int32_t x = 0; x < v->columns; x++) {
            const int8_t value = v->in[y * v->row_step + x * v->column_step + channel];
            largest = value > largest ? value : largest;
        }
    }
    out[channel] = largest;
}

/* Channels from `channel` to the last. */
OST_INLINE void pool_remaining(const ost_pool_view *v, int32_t channel, int32_t end, int8_t *out)
{
#if OST_HAS_DSP
    for (; channel + 4 <= end; channel += 4) {
        uint32_t largest = 0x80808080u;
        const int8_t *row = v->in + channel;
        for (int32_t y = 0; y < v->rows; y++, row += v->row_step) {
            const int8_t *at = row;
            for (int32_t x = 0; x < v->columns; x++, at += v->column_step) {
                largest = ost_max_s8x4(largest, ost_load_u32(at));
            }
        }
        ost_store_u32(out + channel, largest);
    }
#endif
    for (; channel < end; channel++) {
        pool_channel(v, channel, out);
    }
}

#if OST_HAS_DSP
/* Windows of 3 x 3 at a horizontal stride of 2: the last column of one is the first of the next. */
OST_INLINE int columns_are_shared(const ost_window *w)
{
    return w->kernel.height == 3 && w->kernel.width == 3 && w->stride.width == 2 && w->dilation.height == 1 &&
           w->dilation.width == 1 && w->padding.width <= 1 && w->input.channels >= 8;
}

/* As many windows of a row as end inside of the input. */
OST_INLINE int32_t windows_inside(const ost_window *w)
{
    const int32_t last = w->input.width + w->padding.width - 3; /* where the last of them begins */
    const int32_t count = last < 0 ? 0 : last / 2 + 1;
    return count < w->output.width ? count : w->output.width;
}

/* The first windows of a row of outputs; returns how many. Rows beyond the input are another time the last one in it. */
OST_PHASE_FUNCTION static int32_t ost_max_pool_s8_together(const ost_window *w, const int8_t *in, int32_t oy, int8_t *out)
{
    const int32_t y = oy * w->stride.height - w->padding.height, count = windows_inside(w);
    const ost_range rows = ost_valid_positions(y, 3, 1, w->input.height);
    const int32_t valid = rows.end - rows.first, row = w->input.width * w->input.channels;
    const int8_t *from = in + (y + rows.first) * row;
    if (count < 1 || valid < 1) {
        return 0;
    }
    ost_max_pool_columns columns = {from, valid > 1 ? row : 0, w->input.channels, out, count, valid > 2 ? row : 0,
                                    w->padding.width == 1};
    int32_t channel = 0;
    for (; channel + 8 <= w->input.channels; channel += 8, columns.in += 8, columns.out += 8) {
        ost_max_pool_s8_columns(&columns);
    }
    for (int32_t ox = 0; channel < w->input.channels && ox < count; ox++, out += w->input.channels) {
        const ost_pool_view v = ost_pool_view_at(w, in, oy, ox);
        pool_remaining(&v, channel, w->input.channels, out);
    }
    return count;
}
#endif

OST_INLINE void pool_window(const ost_window *w, const int8_t *in, int32_t oy, int32_t ox, int8_t *out)
{
    const ost_pool_view v = ost_pool_view_at(w, in, oy, ox);
    int32_t channel = 0;
    for (; channel + CHANNELS <= w->input.channels; channel += CHANNELS) {
        pool_channels(&v, channel, out);
    }
    pool_remaining(&v, channel, w->input.channels, out);
}

OST_PHASE_FUNCTION static void ost_max_pool_s8_windows(const ost_window *w, const int8_t *in, int8_t *out)
{
    for (int32_t oy = 0; oy < w->output.height; oy++) {
        for (int32_t ox = 0; ox < w->output.width; ox++, out += w->input.channels) {
            pool_window(w, in, oy, ox, out);
        }
    }
}

#if OST_HAS_DSP
OST_PHASE_FUNCTION static void ost_max_pool_s8_shared(const ost_window *w, const int8_t *in, int8_t *out)
{
    for (int32_t oy = 0; oy < w->output.height; oy++, out += w->output.width * w->input.channels) {
        for (int32_t ox = ost_max_pool_s8_together(w, in, oy, out); ox < w->output.width; ox++) {
            pool_window(w, in, oy, ox, out + ox * w->input.channels);
        }
    }
}
#endif

#if OST_HAS_DSP
/* Windows of 2 x 2 side by side, all in the input, of whole words of channels. */
OST_INLINE int are_squares(const ost_window *w)
{
    return w->kernel.height == 2 && w->kernel.width == 2 && w->stride.height == 2 && w->stride.width == 2 &&
           w->padding.height == 0 && w->padding.width == 0 && w->dilation.height == 1 && w->dilation.width == 1 &&
           w->input.channels % 4 == 0;
}

OST_PHASE_FUNCTION static void ost_max_pool_s8_squares(const ost_window *w, const int8_t *in, int8_t *out)
{
    const int32_t channels = w->input.channels, row = w->input.width * channels;
    for (int32_t oy = 0; oy < w->output.height; oy++, in += 2 * row) {
        const int8_t *top = in, *bottom = in + row;
        for (int32_t ox = 0; ox < w->output.width; ox++, top += channels, bottom += channels) {
            for (int32_t words = channels / 4; words > 0; words--, top += 4, bottom += 4, out += 4) {
                const uint32_t a = ost_load_u32(top), b = ost_load_u32(top + channels);
                const uint32_t c = ost_load_u32(bottom), d = ost_load_u32(bottom + channels);
                ost_store_u32(out, ost_max_s8x4(ost_max_s8x4(a, b), ost_max_s8x4(c, d)));
            }
        }
    }
}
#endif

int32_t ost_max_pool_s8_scratch_bytes(const ost_pool_s8_params *params)
{
    (void)params;
    return 0;
}

ost_status ost_max_pool_s8(const ost_pool_s8_params *params, const ost_scratch *scratch, const int8_t *in, int8_t *out)
{
    (void)scratch;
    if (!params || !in || !out || !ost_window_is_valid(&params->window) ||
        params->window.input.channels != params->window.output.channels) {
        return OST_BAD_ARGUMENT;
    }
#if OST_HAS_DSP
    if (are_squares(&params->window)) {
        ost_max_pool_s8_squares(&params->window, in, out);
        return OST_OK;
    }
    if (columns_are_shared(&params->window)) {
        ost_max_pool_s8_shared(&params->window, in, out);
        return OST_OK;
    }
#endif
    ost_max_pool_s8_windows(&params->window, in, out);
    return OST_OK;
}
