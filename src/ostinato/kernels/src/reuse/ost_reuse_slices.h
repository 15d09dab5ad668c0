/* Transformation: slices of the im2col matrix without the matrix.
 *
 * Slices are read from the input, or from a copy of it with its padding written out. A slice whose columns lie side by
 * side there (order kh.kw.c with L dividing C, or slices inside a kernel row) is read in place; any other is gathered,
 * one run of output positions at a time. A contiguous slice near the end of the input starts up to 3 columns early
 * (the leading hash components and weights are zero), so that whole words never reach beyond the tensor. */
#ifndef OST_REUSE_SLICES_H
#define OST_REUSE_SLICES_H

#include "ost_reuse.h"
#include "../support/ost_simd.h"
#include "../support/ost_window.h"

/* Output positions of one row that are handled together. */
#define OST_REUSE_RUN 128

/* A slice's vectors at consecutive output positions. */
typedef struct {
    const int8_t *vectors;
    int32_t step; /* bytes */
} ost_slice_run;

OST_INLINE int ost_reuse_is_padded(const ost_window *w)
{
    return w->padding.height > 0 || w->padding.width > 0;
}

OST_INLINE int32_t ost_reuse_run_length(const ost_window *w)
{
    return w->output.width < OST_REUSE_RUN ? w->output.width : OST_REUSE_RUN;
}

/* A map's window is valid, has the layer's outputs, and reads nothing beyond its input. */
OST_INLINE int ost_reuse_map_is_valid(const ost_reuse_map *map, const ost_window *w)
{
    const ost_window *m = &map->window;
    const int32_t height = w->input.height + (map->padded ? 2 * w->padding.height : 0);
    const int32_t width = w->input.width + (map->padded ? 2 * w->padding.width : 0);
    return ost_window_is_valid(m) && m->output.height == w->output.height && m->output.width == w->output.width &&
           m->output.channels == w->output.channels && map->pixel_step >= 1 && map->row_step >= 1 &&
           (m->input.height - 1) * map->row_step + (m->input.width - 1) * map->pixel_step + m->input.channels <=
               height * width * w->input.channels;
}

/* Bytes of the padded copy (0 without padding) and of the buffer for gathered runs (0 if no slice is gathered). */
int32_t ost_reuse_padded_bytes(const ost_window *w);
int32_t ost_reuse_gather_bytes(const ost_window *w, const ost_reuse_slices *slices, int32_t words);

/* Writes the padded copy, or `rows` rows of it from row `top` on. */
void ost_reuse_pad_input(const ost_window *w, int32_t zero_point, const int8_t *in, int8_t *padded);
void ost_reuse_pad_rows(const ost_window *w, int32_t zero_point, const int8_t *in, int32_t top, int32_t rows,
                        int8_t *padded);

/* Slice s at output positions (oy, ox) to (oy, ox + count - 1); x is the padded input. */
ost_slice_run ost_reuse_slice_run(const ost_window *w, const ost_reuse_slices *slices, int32_t words, int32_t s,
                                  const int8_t *x, int32_t oy, int32_t ox, int32_t count, int8_t *buffer);

#endif /* OST_REUSE_SLICES_H */
