/* Rows of X in the order of a pattern (ost_reuse_rows.h). */
#include "ost_reuse_rows.h"

#include "../support/ost_window.h"
#include "ost_reuse_gather.h"

/* The output position of a row. */
OST_INLINE ost_size2 place_of(const ost_reuse_row_source *source, int32_t row)
{
    const int32_t position = source->rows ? source->rows[row] : row, width = source->window->output.width;
    const ost_size2 place = {position / width, position % width};
    return place;
}

OST_INLINE const int8_t *corner_of(const ost_reuse_row_source *source, int32_t row)
{
    const ost_window *w = source->window;
    const ost_size2 at = place_of(source, row);
    const int32_t width = w->input.width + 2 * w->padding.width;
    return source->x + (at.height * w->stride.height * width + at.width * w->stride.width) * w->input.channels;
}

/* Slice s of a row, the padding filled in. */
OST_INLINE void fill_row(const ost_reuse_row_source *source, int32_t s, int32_t row, int8_t *to)
{
    const ost_size2 at = place_of(source, row);
    const ost_slice_run run = ost_reuse_border_run(source->window, source->zero_point, source->slices, source->words, s,
                                                   source->x, at.height, at.width, 1, to);
    if (run.vectors != to) {
        ost_copy_words(to, run.vectors, source->words);
    }
}

OST_INLINE void gather_row(const int8_t *from, const int32_t *offsets, int32_t words, int8_t *to)
{
    while (words > 0) {
        const int32_t span = ost_reuse_span(offsets), done = span > 0 ? span : 1;
        if (span > 0) {
            ost_copy_words(to, from + offsets[0], span);
        } else {
            const uint32_t a = (uint8_t)from[offsets[0]], b = (uint8_t)from[offsets[1]];
            const uint32_t c = (uint8_t)from[offsets[2]], d = (uint8_t)from[offsets[3]];
            ost_store_u32(to, a | b << 8 | c << 16 | d << 24);
        }
        offsets += 4 * done;
        to += 4 * done;
        words -= done;
    }
}

OST_PHASE_FUNCTION const int8_t *ost_reuse_row_corner(const ost_reuse_row_source *source, int32_t row)
{
    return corner_of(source, row);
}

OST_PHASE_FUNCTION void ost_reuse_gather_row(const int8_t *corner, const int32_t *offsets, int32_t words, int8_t *to)
{
    gather_row(corner, offsets, words, to);
}

OST_PHASE_FUNCTION void ost_reuse_gather_rows(const ost_reuse_row_source *source, int32_t s, int32_t first,
                                              int32_t count, int8_t *to)
{
    const int32_t words = source->words, start = source->slices->starts[s];
    for (int32_t n = 0; source->fills && n < count; n++, to += 4 * words) {
        fill_row(source, s, first + n, to);
    }
    for (int32_t n = 0; !source->fills && n < count; n++, to += 4 * words) {
        const int8_t *from = corner_of(source, first + n);
        if (start >= 0) {
            ost_copy_words(to, from + start, words);
        } else {
            gather_row(from, source->slices->gather + (-1 - start) * words * 4, words, to);
        }
    }
}
