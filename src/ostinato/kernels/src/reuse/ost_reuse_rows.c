/* Rows of X in the order of a pattern (ost_reuse_rows.h). */
#include "ost_reuse_rows.h"

#include "../support/ost_window.h"

OST_INLINE const int8_t *corner_of(const ost_reuse_row_source *source, int32_t row)
{
    const ost_window *w = source->window;
    const int32_t position = source->rows ? source->rows[row] : row;
    const int32_t oy = position / w->output.width, ox = position - oy * w->output.width;
    const int32_t width = w->input.width + 2 * w->padding.width;
    return source->x + (oy * w->stride.height * width + ox * w->stride.width) * w->input.channels;
}

OST_PHASE_FUNCTION void ost_reuse_gather_rows(const ost_reuse_row_source *source, int32_t s, int32_t first,
                                              int32_t count, int8_t *to)
{
    const int32_t lanes = source->words * 4, start = source->slices->starts[s];
    for (int32_t n = 0; n < count; n++, to += lanes) {
        const int8_t *from = corner_of(source, first + n);
        if (start >= 0) {
            ost_copy_bytes(to, from + start, lanes);
            continue;
        }
        const int32_t *offsets = source->slices->gather + (-1 - start) * lanes;
        for (int32_t k = 0; k < lanes; k += 4) {
            const uint32_t a = (uint8_t)from[offsets[k]], b = (uint8_t)from[offsets[k + 1]];
            const uint32_t c = (uint8_t)from[offsets[k + 2]], d = (uint8_t)from[offsets[k + 3]];
            ost_store_u32(to + k, a | b << 8 | c << 16 | d << 24);
        }
    }
}
