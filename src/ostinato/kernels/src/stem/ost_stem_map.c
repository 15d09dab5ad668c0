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

/* Outputs from `first` on, one after the other. */
OST_INLINE void map_each(const ost_stem_map *m, int32_t words, int32_t stride, int32_t first, int begins)
{
    uint16_t *id = m->ids + first * (m->step / 2);
    for (int32_t n = first; n < m->count; n++, id += m->step / 2) {
        const int32_t code = m->map[coefficient(m, words, n * stride)] << ID_SHIFT;
        *id = (uint16_t)((begins ? m->start : *id) + code);
    }
}

OST_PHASE_FUNCTION void ost_stem_map_row(const ost_stem_s8_params *p, int32_t k, const int16_t *columns, uint16_t *ids)
{
    const int32_t words = p->window.kernel.width / 2 + 1, stride = p->window.stride.width;
    const int32_t group = p->groups[k] >> 1, begins = p->groups[k] & 1;
    ost_stem_map m = {columns,
                      p->maps + k * 256 + 128,
                      ids + group,
                      p->rows * 2,
                      p->horizontal + k * words * 4,
                      p->centre[k],
                      group << (p->hashes + ID_SHIFT),
                      p->window.output.width};
    int32_t done = 0;
#if OST_HAS_DSP
    if (stride == 1 && (words == 2 || words == 3) && m.count >= 4) {
        const int32_t all = m.count;
        done = m.count & ~3;
        m.count = done;
        if (words == 3) {
            begins ? ost_stem_map_set_3(&m) : ost_stem_map_add_3(&m);
        } else {
            begins ? ost_stem_map_set_2(&m) : ost_stem_map_add_2(&m);
        }
        m.count = all;
    }
#endif
    map_each(&m, words, stride, done, begins);
}
