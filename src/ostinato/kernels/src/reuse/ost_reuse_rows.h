/* Rows of X in the order of a pattern: b of them are a block, and a block's slice is gathered row by row. */
#ifndef OST_REUSE_ROWS_H
#define OST_REUSE_ROWS_H

#include "ost_reuse.h"
#include "../support/ost_simd.h"
#include "ost_reuse_border.h"

/* Blocks whose slices are gathered together. */
#define OST_REUSE_BLOCKS 16

typedef struct {
    const ost_window *window;
    const ost_reuse_slices *slices;
    int32_t words;        /* of columns in a row's slice */
    const uint16_t *rows; /* output position of each row; NULL: the n-th row is the n-th position */
    const int8_t *x;      /* the padded input */
    int32_t fills;        /* x is the input as it is, padding of `zero_point` is filled in (ost_reuse_border.h) */
    int32_t zero_point;
} ost_reuse_row_source;

/* The corner of a row's window in the padded input. */
const int8_t *ost_reuse_row_corner(const ost_reuse_row_source *source, int32_t row);

/* Columns of a gathered slice, by packed offsets from the corner. */
void ost_reuse_gather_row(const int8_t *corner, const int32_t *offsets, int32_t words, int8_t *to);

/* Slice s of rows `first` to `first + count - 1`, words * 4 bytes each. */
void ost_reuse_gather_rows(const ost_reuse_row_source *source, int32_t s, int32_t first, int32_t count, int8_t *to);

/* Slice s of a row whose window's corner is `corner`: in place if it lies there in one piece; else in the buffer. */
OST_INLINE const int8_t *ost_reuse_row_slice(const ost_reuse_row_source *source, int32_t row, const int8_t *corner,
                                             int32_t s, int8_t *buffer)
{
    const int32_t start = source->slices->starts[s];
    if (source->fills) {
        ost_reuse_gather_rows(source, s, row, 1, buffer);
        return buffer;
    }
    if (start >= 0) {
        return corner + start;
    }
    ost_reuse_gather_row(corner, source->slices->gather + (-1 - start) * source->words * 4, source->words, buffer);
    return buffer;
}

/* Slice s at `count` output positions of an output row; in the buffer, if they do not lie at equal distances. */
OST_INLINE ost_slice_run ost_reuse_source_run(const ost_reuse_row_source *source, int32_t s, int32_t oy, int32_t ox,
                                              int32_t count, int8_t *buffer)
{
    return source->fills ? ost_reuse_border_run(source->window, source->zero_point, source->slices, source->words, s,
                                                source->x, oy, ox, count, buffer)
                         : ost_reuse_slice_run(source->window, source->slices, source->words, s, source->x, oy, ox,
                                               count, buffer);
}

/* A row's own values as one of `count` centroids, in the order of ost_reuse_clusters.h. */
OST_INLINE void ost_reuse_row_centroid(const int8_t *x, int32_t words, int32_t zero_point, int16_t *to, int32_t count)
{
    for (int32_t w = 0; w < words; w++, x += 4, to += 4 * count) {
#if OST_HAS_DSP
        const uint32_t origin = ost_pkhbt16((uint32_t)-zero_point, (uint32_t)-zero_point), four = ost_load_u32(x);
        /* Times 128; what the lower halfword loses, the upper one must not gain. */
        ost_store_u32(to, ost_sxtab16(origin, four) << 7 & 0xff80ff80u);
        ost_store_u32(to + 2 * count, ost_sxtab16_ror8(origin, four) << 7 & 0xff80ff80u);
#else
        to[0] = (int16_t)((x[0] - zero_point) * 128);
        to[1] = (int16_t)((x[2] - zero_point) * 128);
        to[2 * count] = (int16_t)((x[1] - zero_point) * 128);
        to[2 * count + 1] = (int16_t)((x[3] - zero_point) * 128);
#endif
    }
}

#endif /* OST_REUSE_ROWS_H */
