/* Average pooling over the valid positions of each window, rounded half away from zero. */
#include "ost_conventional.h"
#include "../support/ost_simd.h"
#include "ost_pool.h"

/* int8 in, so the mean never leaves int8. */
OST_INLINE int8_t rounded_mean(int32_t sum, int32_t count)
{
    const int32_t half = count / 2;
    return (int8_t)((sum >= 0 ? sum + half : sum - half) / count);
}

#if OST_HAS_DSP
/* Four channels as two pairs of int16; 256 positions of int8 cannot leave int16. */
OST_INLINE void average_four(const ost_pool_view *v, int32_t channel, int8_t *out)
{
    uint32_t even = 0, odd = 0;
    const int8_t *row = v->in + channel;
    for (int32_t y = 0; y < v->rows; y++, row += v->row_step) {
        const int8_t *at = row;
        for (int32_t x = 0; x < v->columns; x++, at += v->column_step) {
            const uint32_t word = ost_load_u32(at);
            even = ost_sxtab16(even, word);
            odd = ost_sxtab16_ror8(odd, word);
        }
    }
    const int32_t count = v->rows * v->columns;
    out[channel] = rounded_mean((int16_t)even, count);
    out[channel + 1] = rounded_mean((int16_t)odd, count);
    out[channel + 2] = rounded_mean((int32_t)even >> 16, count);
    out[channel + 3] = rounded_mean((int32_t)odd >> 16, count);
}
#endif

OST_INLINE void average_one(const ost_pool_view *v, int32_t channel, int8_t *out)
{
    int32_t sum = 0;
    for (int32_t y = 0; y < v->rows; y++) {
        for (int32_t x = 0; x < v->columns; x++) {
            sum += v->in[y * v->row_step + x * v->column_step + channel];
        }
    }
    out[channel] = rounded_mean(sum, v->rows * v->columns);
}

OST_PHASE_FUNCTION static void ost_avg_pool_s8_windows(const ost_window *w, const int8_t *in, int8_t *out)
{
    const int32_t channels = w->input.channels;
    for (int32_t oy = 0; oy < w->output.height; oy++) {
        for (int32_t ox = 0; ox < w->output.width; ox++, out += channels) {
            const ost_pool_view v = ost_pool_view_at(w, in, oy, ox);
            int32_t channel = 0;
#if OST_HAS_DSP
            if (v.rows * v.columns <= 256) {
                for (; channel + 4 <= channels; channel += 4) {
                    average_four(&v, channel, out);
                }
            }
#endif
            for (; channel < channels; channel++) {
                average_one(&v, channel, out);
            }
        }
    }
}

/* Does every window hold an element of the input? Windows are a product of two axes: their diagonal tells. */
OST_INLINE int windows_are_covered(const ost_window *w, const int8_t *in)
{
    const int32_t last_y = w->output.height - 1, last_x = w->output.width - 1;
    for (int32_t oy = 0, ox = 0; oy <= last_y || ox <= last_x; oy++, ox++) {
        const ost_pool_view v = ost_pool_view_at(w, in, oy < last_y ? oy : last_y, ox < last_x ? ox : last_x);
        if (v.rows == 0) {
            return 0;
        }
    }
    return 1;
}

int32_t ost_avg_pool_s8_scratch_bytes(const ost_pool_s8_params *params)
{
    (void)params;
    return 0;
}

ost_status ost_avg_pool_s8(const ost_pool_s8_params *params, const ost_scratch *scratch, const int8_t *in, int8_t *out)
{
    (void)scratch;
    if (!params || !in || !out || !ost_window_is_valid(&params->window) ||
        params->window.input.channels != params->window.output.channels || !windows_are_covered(&params->window, in)) {
        return OST_BAD_ARGUMENT;
    }
    ost_avg_pool_s8_windows(&params->window, in, out);
    return OST_OK;
}
