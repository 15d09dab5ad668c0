/* Coefficients of a row of windows and what their codes are worth (ost_stem_rows.h). */
#include "ost_stem_map_rows.h"

#include "../reuse/ost_reuse_fixed.h"
#include "ost_stem_dsp.h"
#include "ost_stem_rows.h"
#include "ost_stem_sum.h"

/* The coefficient of the window at column `x`, by its `words` words of taps. */
OST_INLINE int32_t coefficient(const ost_stem_map *m, int32_t words, int32_t x)
{
#if OST_HAS_DSP
    const int16_t *at = m->columns + (x & ~1), *taps = m->taps + 2 * words * (x & 1);
    int32_t sum = m->centre;
    for (int32_t w = 0; w < words; w++) {
        sum = ost_smlad(ost_load_u32(at + 2 * w), ost_load_u32(taps + 2 * w), sum);
    }
    return ost_ssat8_high(sum);
#else
    int32_t sum = m->centre;
    for (int32_t j = 0; j < 2 * words - 1; j++) { /* beyond KW taps are zero */
        sum += m->taps[j] * m->columns[x + j];
    }
    return ost_saturate_s8(sum >> 16);
#endif
}

/* Outputs from `first` on, one after the other. */
OST_PHASE_FUNCTION static void ost_stem_map_each(const ost_stem_map *m, const ost_window *w, int32_t first, int begins)
{
    const int32_t words = w->kernel.width / 2 + 1;
    const uint32_t pitch = m->loop & 0xffff;
    for (int32_t n = first; n < w->output.width; n++) {
        const uint32_t code = m->codes[coefficient(m, words, n * w->stride.width)];
        m->map[n] = (begins ? m->start : m->map[n]) + code * pitch;
    }
}

#if OST_HAS_DSP
typedef void (*map_function)(const ost_stem_map *map);

/* The assembly for this kernel width and stride, or null. */
OST_INLINE map_function choose(int32_t words, int32_t stride, int begins)
{
    if (stride != 1 || words < 2 || words > 3) {
        return NULL;
    }
    if (words == 3) {
        return begins ? ost_stem_map_set_3 : ost_stem_map_add_3;
    }
    return begins ? ost_stem_map_set_2 : ost_stem_map_add_2;
}
#endif

OST_PHASE_FUNCTION void ost_stem_map_row(const ost_stem_s8_params *p, int32_t first, const int16_t *ring,
                                         int16_t *columns, uint32_t *map)
{
    const ost_window *w = &p->window;
    const int32_t words = w->kernel.width / 2 + 1, count = w->output.width;
    const uint32_t pitch = (uint32_t)ost_stem_pitch(p), group_bytes = pitch << p->hashes;
    const uint32_t table = ost_stem_first_address(p);
    const int32_t *groups = p->groups, *centre = p->centre, *end = p->ends, *const last = end + p->planes;
    ost_stem_map m = {columns, p->maps + 128, map, pitch, p->horizontal, 0, 0};
    int32_t fours = 0;
#if OST_HAS_DSP
    const map_function set = choose(words, w->stride.width, 1), add = choose(words, w->stride.width, 0);
    fours = set ? count / 4 : 0;
    m.loop += fours ? (uint32_t)(fours - 1) << 16 : 0;
#endif
    for (int32_t f = 0, k = 0; end < last; f++, end++) {
        ost_stem_column_row(p, f, first, ring, columns);
        for (const int32_t stop = *end; k < stop; k++, m.codes += 256, m.taps += words * 4) {
            const int32_t group = *groups >> 1, begins = *groups++ & 1;
            m.map = map + group * count;
            m.centre = *centre++;
            m.start = table + (uint32_t)group * group_bytes;
#if OST_HAS_DSP
            if (fours) {
                (begins ? set : add)(&m);
            }
#endif
            if (4 * fours < count) {
                ost_stem_map_each(&m, w, 4 * fours, begins);
            }
        }
    }
}
