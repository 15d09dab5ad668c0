/* Columns of windows transformed (ost_stem_rows.h): a weighted sum of KH rows at every pixel column, two at a time. */
#include "../support/ost_window.h"
#include "ost_stem_dsp.h"
#include "ost_stem_rows.h"

#define ROUNDING (1 << 15)

#if OST_HAS_DSP
/* ost_stem_columns.S */
void ost_stem_columns_3(const int16_t *ring, const int16_t *taps, int32_t pairs, int16_t *columns);
void ost_stem_columns_5(const int16_t *ring, const int16_t *taps, int32_t pairs, int16_t *columns);

OST_INLINE void column_row(const int16_t *ring, const int16_t *taps, int32_t pairs, int32_t height, int16_t *columns)
{
    for (; pairs > 0; pairs--, ring += 2 * height, columns += 2) {
        int32_t low = ROUNDING, high = ROUNDING;
        for (int32_t s = 0; s + 1 < height; s += 2) {
            const uint32_t a = ost_load_u32(ring + 2 * s), b = ost_load_u32(ring + 2 * s + 2);
            const uint32_t tap = ost_load_u32(taps + s);
            low = ost_smlad(ost_pkhbt16(a, b), tap, low);
            high = ost_smlad(ost_pkhtb16(b, a), tap, high);
        }
        if (height % 2) {
            const uint32_t a = ost_load_u32(ring + 2 * height - 2), tap = ost_load_u32(taps + height - 1);
            low = ost_smlabb(a, tap, low);
            high = ost_smlatb(a, tap, high);
        }
        ost_store_u32(columns, ost_pkhtb16((uint32_t)high, (uint32_t)low));
    }
}
#else
OST_INLINE void column_row(const int16_t *ring, const int16_t *taps, int32_t pairs, int32_t height, int16_t *columns)
{
    for (int32_t x = 0; x < 2 * pairs; x++) {
        int32_t sum = ROUNDING;
        for (int32_t s = 0; s < height; s++) {
            sum += taps[s] * ring[(x / 2) * 2 * height + 2 * s + x % 2];
        }
        columns[x] = (int16_t)(sum >> 16);
    }
}
#endif

OST_PHASE_FUNCTION void ost_stem_column_row(const ost_stem_s8_params *p, int32_t f, int32_t first, const int16_t *ring,
                                            int16_t *columns)
{
    const int32_t height = p->window.kernel.height, pairs = ost_stem_pairs(&p->window);
    const int16_t *taps = p->vertical + (f * height + first) * ost_round_up(height, 2);
    const int16_t *from = ring + p->channels[f] * pairs * height * 2;
#if OST_HAS_DSP
    if (height == 5) {
        ost_stem_columns_5(from, taps, pairs, columns);
        return;
    }
    if (height == 3) {
        ost_stem_columns_3(from, taps, pairs, columns);
        return;
    }
#endif
    column_row(from, taps, pairs, height, columns);
}
