/* Coefficients of a row of windows and their bits of ids (ost_stem_rows.h). */
#include "../reuse/ost_reuse_fixed.h"
#include "../reuse/ost_reuse_lookup.h"
#include "ost_stem_dsp.h"
#include "ost_stem_rows.h"

#define ID_SHIFT 4 /* ids are kept times 16 */

/* One coefficient over a row. */
typedef struct {
    const int16_t *columns;
    const int16_t *taps; /* at an even column; those at an odd one follow */
    const uint8_t *map;  /* of coefficient 0 */
    int32_t centre;
    int32_t words; /* of taps, two in each */
    int32_t stride;
    int32_t count; /* outputs */
    uint8_t *ids;
    int32_t step; /* bytes from an output's id to the next one's */
} map_row;

OST_INLINE void add_id(uint8_t *id, int32_t code, const int narrow, const int begins)
{
    if (narrow) {
        *id = (uint8_t)((begins ? 0 : *id) + (code << ID_SHIFT));
    } else {
        uint16_t *wide = (uint16_t *)(void *)id;
        *wide = (uint16_t)((begins ? 0 : *wide) + (code << ID_SHIFT));
    }
}

#if OST_HAS_DSP
OST_INLINE int32_t filter(const int16_t *columns, const int16_t *taps, const int32_t words, int32_t sum)
{
    for (int32_t w = 0; w < words; w++) {
        sum = ost_smlad(ost_load_u32(columns + 2 * w), ost_load_u32(taps + 2 * w), sum);
    }
    return ost_ssat8_high(sum);
}

OST_INLINE void map_pairs(const map_row *m, const int32_t words, const int32_t stride, const int narrow, const int begins)
{
    const int16_t *even = m->columns, *odd = m->columns + (stride & ~1);
    const int16_t *even_taps = m->taps, *odd_taps = stride % 2 ? m->taps + 2 * words : m->taps;
    const int32_t step = m->step, centre = m->centre;
    const uint8_t *map = m->map;
    uint8_t *id = m->ids;
    int32_t count = m->count;
    for (; count > 1; count -= 2, even += 2 * stride, odd += 2 * stride, id += 2 * step) {
        const int32_t first = filter(even, even_taps, words, centre), second = filter(odd, odd_taps, words, centre);
        add_id(id, map[first], narrow, begins);
        add_id(id + step, map[second], narrow, begins);
    }
    if (count) {
        add_id(id, map[filter(even, even_taps, words, centre)], narrow, begins);
    }
}

OST_INLINE void map_form(const map_row *m, const int narrow, const int begins)
{
    if (m->stride == 1 && m->words == 3) { /* KW of 4 and 5 */
        map_pairs(m, 3, 1, narrow, begins);
    } else if (m->stride == 1 && m->words == 2) {
        map_pairs(m, 2, 1, narrow, begins);
    } else {
        map_pairs(m, m->words, m->stride, narrow, begins);
    }
}
#else
OST_INLINE void map_form(const map_row *m, int narrow, int begins)
{
    for (int32_t n = 0; n < m->count; n++) {
        const int16_t *at = m->columns + n * m->stride;
        int32_t sum = m->centre;
        for (int32_t j = 0; j < 2 * m->words - 1; j++) { /* beyond KW taps are zero */
            sum += m->taps[j] * at[j];
        }
        add_id(m->ids + n * m->step, m->map[ost_saturate_s8(sum >> 16)], narrow, begins);
    }
}
#endif

OST_PHASE_FUNCTION void ost_stem_map_row(const ost_stem_s8_params *p, int32_t k, const int16_t *columns, uint8_t *ids)
{
    const int32_t words = p->window.kernel.width / 2 + 1, id_bytes = ost_lookup_id_bytes(p->hashes);
    const int32_t group = p->groups[k] >> 1, begins = p->groups[k] & 1;
    const map_row m = {columns,
                       p->horizontal + k * words * 4,
                       p->maps + k * 256 + 128,
                       p->centre[k],
                       words,
                       p->window.stride.width,
                       p->window.output.width,
                       ids + group * id_bytes,
                       p->rows * id_bytes};
    if (id_bytes == 1) {
        begins ? map_form(&m, 1, 1) : map_form(&m, 1, 0);
    } else {
        begins ? map_form(&m, 0, 1) : map_form(&m, 0, 0);
    }
}
