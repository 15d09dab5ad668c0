/* Rows of X in the order of a pattern: b of them are a block, and a block's slice is gathered row by row. */
#ifndef OST_REUSE_ROWS_H
#define OST_REUSE_ROWS_H

#include "ost_reuse.h"
#include "../support/ost_simd.h"

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

#endif /* OST_REUSE_ROWS_H */
