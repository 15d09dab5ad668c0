/* Coefficients of a row of windows and their bits of ids (ost_stem_rows.h). */
#include "ost_stem_map_rows.h"

#include "../reuse/ost_reuse_fixed.h"
#include "ost_stem_dsp.h"
#include "ost_stem_rows.h"

#define ID_SHIFT 4 /* ids are kept times 16 */

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

/* Outputs from `first` to `count` - 1, one after the other. */
OST_PHASE_FUNCTION static void ost_stem_map_each(const ost_stem_map *m, const ost_window *w, int32_t first, int begins)
{
    const int32_t words = w->kernel.width / 2 + 1;
    uint16_t *id = m->ids + first * (m->step / 2);
    for (int32_t n = first; n < w->output.width; n++, id += m->step / 2) {
        const int32_t code = m->map[coefficient(m, words, n * w->stride.width)] << ID_SHIFT;
        *id = (uint16_t)((begins ? m->start : *id) + code);
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

OST_PHASE_FUNCTION void ost_stem_map_row(const ost_stem_s8_params *p, int32_t k, int32_t end, const int16_t *columns,
                                         uint16_t *ids)
{
    const int32_t words = p->window.kernel.width / 2 + 1, count = p->window.output.width, shift = p->hashes + ID_SHIFT;
    const int32_t *groups = p->groups + k, *centre = p->centre + k;
    ost_stem_map m = {columns, p->maps + k * 256 + 128, ids, p->rows * 2, p->horizontal + k * words * 4, 0, 0, 0};
#if OST_HAS_DSP
    const map_function set = choose(words, p->window.stride.width, 1), add = choose(words, p->window.stride.width, 0);
    m.count = set ? count & ~3 : 0;
#endif
    for (; k < end; k++, m.map += 256, m.taps += words * 4) {
        const int32_t group = *groups >> 1, begins = *groups++ & 1;
        m.ids = ids + group;
        m.centre = *centre++;
        m.start = group << shift;
#if OST_HAS_DSP
        if (m.count) {
            (begins ? set : add)(&m);
        }
#endif
        if (m.count < count) {
            ost_stem_map_each(&m, &p->window, m.count, begins);
        }
    }
}
