/* Maximum pooling: 16 channels stay in registers while the window goes by. Padding never wins (it counts as -128). */
#include "ost_conventional.h"
#include "../support/ost_simd.h"
#include "ost_pool.h"

#define CHANNELS 16

#if OST_HAS_DSP
OST_INLINE void pool_channels(const ost_pool_view *v, int32_t channel, int8_t *out)
{
    uint32_t a = 0x80808080u, b = a, c = a, d = a;
    const int8_t *row = v->in + channel;
    for (int32_t y = 0; y < v->rows; y++, row += v->row_step) {
        const int8_t *at = row;
        for (int32_t x = 0; x < v->columns; x++, at += v->column_step) {
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

OST_PHASE_FUNCTION static void ost_max_pool_s8_windows(const ost_window *w, const int8_t *in, int8_t *out)
{
    const int32_t channels = w->input.channels;
    for (int32_t oy = 0; oy < w->output.height; oy++) {
        for (int32_t ox = 0; ox < w->output.width; ox++, out += channels) {
            const ost_pool_view v = ost_pool_view_at(w, in, oy, ox);
            int32_t channel = 0;
            for (; channel + CHANNELS <= channels; channel += CHANNELS) {
                pool_channels(&v, channel, out);
            }
            for (; channel < channels; channel++) {
                pool_channel(&v, channel, out);
            }
        }
    }
}

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
    ost_max_pool_s8_windows(&params->window, in, out);
    return OST_OK;
}
