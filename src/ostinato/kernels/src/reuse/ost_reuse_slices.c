/* Transformation (ost_reuse_slices.h). */
#include "ost_reuse_slices.h"

#include "../support/ost_window.h"
#include "ost_reuse_gather.h"

int32_t ost_reuse_padded_bytes(const ost_window *w)
{
    return ost_reuse_is_padded(w) ? (w->input.height + 2 * w->padding.height) *
                                        (w->input.width + 2 * w->padding.width) * w->input.channels
                                  : 0;
}

int32_t ost_reuse_gather_bytes(const ost_window *w, const ost_reuse_slices *slices, int32_t words)
{
    for (int32_t s = 0; s < slices->count; s++) {
        if (slices->starts[s] < 0) {
            return ost_reuse_run_length(w) * words * 4;
        }
    }
    return 0;
}

OST_PHASE_FUNCTION void ost_reuse_pad_rows(const ost_window *w, int32_t zero_point, const int8_t *in, int32_t top,
                                           int32_t rows, int8_t *padded)
{
    const int8_t zero = (int8_t)zero_point;
    const int32_t row = w->input.width * w->input.channels, side = w->padding.width * w->input.channels;
    for (int32_t y = top - w->padding.height; y < top - w->padding.height + rows; y++, padded += row + 2 * side) {
        if (y < 0 || y >= w->input.height) {
            ost_fill_bytes(padded, zero, row + 2 * side);
            continue;
        }
        ost_fill_bytes(padded, zero, side);
        ost_copy_bytes(padded + side, in + y * row, row);
        ost_fill_bytes(padded + side + row, zero, side);
    }
}

OST_PHASE_FUNCTION void ost_reuse_pad_input(const ost_window *w, int32_t zero_point, const int8_t *in, int8_t *padded)
{
    ost_reuse_pad_rows(w, zero_point, in, 0, w->input.height + 2 * w->padding.height, padded);
}

#if !OST_HAS_DSP
OST_PHASE_FUNCTION void ost_reuse_gather_word(const ost_gather *gather)
{
    int8_t *to = gather->to;
    for (int32_t n = 0, at = 0; n < gather->count; n++, at += gather->step, to += gather->pitch) {
        for (int32_t k = 0; k < 4; k++) {
            to[k] = gather->corner[gather->offsets[k] + at];
        }
    }
}
#endif

/* Words of columns that lie side by side, of all the run's vectors. */
OST_INLINE void copy_span(const ost_gather *gather, int32_t words)
{
    const int8_t *from = gather->corner + gather->offsets[0];
    int8_t *to = gather->to;
    for (int32_t n = 0; n < gather->count; n++, from += gather->step, to += gather->pitch) {
        ost_copy_words(to, from, words);
    }
}

/* Columns of all the run's vectors, as many as lie side by side at a time, or four: their addresses stay in registers. */
OST_PHASE_FUNCTION static void ost_reuse_gather_run(const int8_t *corner, int32_t step, int32_t count,
                                                    const int32_t *offsets, int32_t words, int8_t *buffer)
{
    ost_gather gather = {corner, offsets, buffer, step, words * 4, count};
    while (words > 0) {
        const int32_t span = ost_reuse_span(gather.offsets), done = span > 0 ? span : 1;
        if (span > 0) {
            copy_span(&gather, span);
        } else {
            ost_reuse_gather_word(&gather);
        }
        gather.offsets += 4 * done;
        gather.to += 4 * done;
        words -= done;
    }
}

OST_PHASE_FUNCTION ost_slice_run ost_reuse_slice_run(const ost_window *w, const ost_reuse_slices *slices, int32_t words, int32_t s,
                                  const int8_t *x, int32_t oy, int32_t ox, int32_t count, int8_t *buffer)
{
    const int32_t channels = w->input.channels, width = w->input.width + 2 * w->padding.width;
    const int8_t *corner = x + (oy * w->stride.height * width + ox * w->stride.width) * channels;
    const int32_t step = w->stride.width * channels, start = slices->starts[s];
    ost_slice_run run;
    if (start >= 0) {
        run.vectors = corner + start;
        run.step = step;
    } else {
        ost_reuse_gather_run(corner, step, count, slices->gather + (-1 - start) * words * 4, words, buffer);
        run.vectors = buffer;
        run.step = words * 4;
    }
    return run;
}
