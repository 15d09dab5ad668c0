/* Colours rotated into the ring (ost_stem_rows.h). */
#include "../support/ost_window.h"
#include "ost_stem_dsp.h"
#include "ost_stem_rows.h"

/* Colour c of pixel x of an input row; what lies outside is padding. */
OST_INLINE int32_t rotated_pixel(const ost_stem_s8_params *p, const int8_t *row, int32_t x, int32_t c)
{
    const int32_t channels = p->window.input.channels;
    const int16_t *r = p->rotation + c * 4;
    if (x < 0 || x >= p->window.input.width) {
        return p->padding[c];
    }
    const int8_t *q = row + x * channels;
    int32_t sum = r[0] * q[0];
    sum += channels > 1 ? r[2] * q[1] : 0; /* the order is 0 2 1 3 */
    sum += channels > 2 ? r[1] * q[2] : 0;
    sum += channels > 3 ? r[3] * q[3] : 0;
    return sum;
}

/* Pairs [begin, end) of a row, one pixel after the other. */
OST_INLINE void rotate_pairs(const ost_stem_s8_params *p, const int8_t *row, int32_t begin, int32_t end, int16_t *slot)
{
    const int32_t step = p->window.kernel.height * 2, plane = ost_stem_pairs(&p->window) * step;
    for (int32_t pair = begin; pair < end; pair++) {
        for (int32_t c = 0; c < p->window.input.channels; c++) {
            int16_t *to = slot + c * plane + pair * step;
            const int32_t x = 2 * pair - p->window.padding.width;
            to[0] = (int16_t)rotated_pixel(p, row, x, c);
            to[1] = (int16_t)rotated_pixel(p, row, x + 1, c);
        }
    }
}

#if OST_HAS_DSP
/* Pairs whose two pixels are inside, and so far from the input's end that whole words can be read. */
OST_INLINE void rotate_whole_pairs(const ost_stem_s8_params *p, const int8_t *from, int32_t pairs, const int32_t channels,
                                   int16_t *slot)
{
    const int32_t step = p->window.kernel.height * 4, plane = ost_stem_pairs(&p->window) * step;
    uint32_t rotation[8];
    for (int32_t i = 0; i < 2 * channels; i++) {
        rotation[i] = ost_load_u32(p->rotation + 2 * i);
    }
    char *to = (char *)slot;
    for (; pairs > 0; pairs--, from += 2 * channels, to += step) {
        const uint32_t first = ost_load_u32(from), second = ost_load_u32(from + channels);
        const uint32_t even0 = ost_sxtb16(first), odd0 = ost_sxtb16_ror8(first);
        const uint32_t even1 = ost_sxtb16(second), odd1 = ost_sxtb16_ror8(second);
        char *at = to;
        for (int32_t c = 0; c < channels; c++, at += plane) {
            const int32_t low = ost_smlad(odd0, rotation[2 * c + 1], ost_smuad(even0, rotation[2 * c]));
            const int32_t high = ost_smlad(odd1, rotation[2 * c + 1], ost_smuad(even1, rotation[2 * c]));
            ost_store_u32(at, ost_pkhbt16((uint32_t)low, (uint32_t)high));
        }
    }
}
#endif

OST_PHASE_FUNCTION void ost_stem_rotate_row(const ost_stem_s8_params *p, const int8_t *in, int32_t y, int16_t *ring)
{
    const ost_window *w = &p->window;
    const int32_t channels = w->input.channels, pairs = ost_stem_pairs(w), step = w->kernel.height * 2;
    int16_t *slot = ring + (y % w->kernel.height) * 2;
    y -= w->padding.height;
    if (y < 0 || y >= w->input.height) {
        for (int32_t c = 0; c < channels; c++) {
            for (int32_t pair = 0; pair < pairs; pair++, slot += step) {
                slot[0] = p->padding[c];
                slot[1] = p->padding[c];
            }
        }
        return;
    }
    const int8_t *row = in + y * w->input.width * channels;
#if OST_HAS_DSP
    const int32_t begin = (w->padding.width + 1) / 2, x = 2 * begin - w->padding.width;
    const int32_t readable = ((w->input.height - y) * w->input.width * channels - 4) / channels + 1; /* pixels */
    const int32_t last = readable < w->input.width ? readable : w->input.width;
    const int32_t whole = last - x > 1 ? (last - x) / 2 : 0;
    const int8_t *from = row + x * channels;
    int16_t *to = slot + begin * step;
    if (channels == 3) {
        rotate_whole_pairs(p, from, whole, 3, to);
    } else if (channels == 1) {
        rotate_whole_pairs(p, from, whole, 1, to);
    } else {
        rotate_whole_pairs(p, from, whole, channels, to);
    }
    rotate_pairs(p, row, 0, begin < pairs ? begin : pairs, slot);
    rotate_pairs(p, row, begin + whole, pairs, slot);
#else
    rotate_pairs(p, row, 0, pairs, slot);
#endif
}
