/* The dense convolution, some rows of its outputs at a time: what `ost_conv_s8_dense` and `ost_conv_s8_dense_pooled` have
 * in common. */
#ifndef OST_CONV_S8_DENSE_RUN_H
#define OST_CONV_S8_DENSE_RUN_H

#include "ost_conventional.h"

#include "../support/ost_window.h"
#include "ost_conv_s8_dense_gemm.h"

typedef struct {
    const ost_conv_s8_dense_params *params;
    const int8_t *in;
    int16_t *rows;  /* two pixels, as ost_conv_s8_dense_gemm.h says */
    int32_t *sums;  /* their accumulators, for each part of the columns */
    int8_t *gather; /* one pixel's columns, where the input does not have them in usable runs */
    ost_dense_product product;
} ost_dense_run;

/* Where output pixels go: `out_stride` bytes apart from `next` on, and behind `end`, unless it is null, at `first`. */
typedef struct {
    int8_t *next;
    int8_t *first;
    int8_t *end;
} ost_dense_outputs;

/* K, and what fills the first block. */
OST_INLINE int32_t ost_dense_columns(const ost_window *w)
{
    return ost_round_up(ost_window_columns(w), OST_DENSE_BLOCK);
}

int ost_conv_s8_dense_arguments_are_valid(const ost_conv_s8_dense_params *params, const int8_t *in, const int8_t *out);

/* `scratch` has `ost_conv_s8_dense_scratch_bytes`. */
ost_dense_run ost_conv_s8_dense_begin(const ost_conv_s8_dense_params *params, const int8_t *in, void *scratch);

/* Lays out one pixel from `to` on; (y, x) is the window's corner in the unpadded input. */
void ost_conv_s8_dense_im2col(const ost_dense_run *run, int32_t y, int32_t x, int16_t *to);

/* Rows [first, end) of the outputs, two pixels at a time, of two rows where one has an odd number of them. */
void ost_conv_s8_dense_rows(const ost_dense_run *run, int32_t first, int32_t end, ost_dense_outputs outputs);

#endif /* OST_CONV_S8_DENSE_RUN_H */
