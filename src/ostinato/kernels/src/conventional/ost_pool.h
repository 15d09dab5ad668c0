/* What max and average pooling share: the valid part of a window. */
#ifndef OST_POOL_H
#define OST_POOL_H

#include "../support/ost_window.h"

typedef struct {
    const int8_t *in; /* its first valid position */
    int32_t rows;
    int32_t columns;
    int32_t row_step; /* bytes between positions */
    int32_t column_step;
} ost_pool_view;

/* The positions of the window of output (oy, ox) that lie in the input; rows = columns = 0 if none does. */
OST_INLINE ost_pool_view ost_pool_view_at(const ost_window *w, const int8_t *in, int32_t oy, int32_t ox)
{
    const int32_t y = oy * w->stride.height - w->padding.height;
    const int32_t x = ox * w->stride.width - w->padding.width;
    const ost_range rows = ost_valid_positions(y, w->kernel.height, w->dilation.height, w->input.height);
    const ost_range taps = ost_valid_positions(x, w->kernel.width, w->dilation.width, w->input.width);
    const int32_t channels = w->input.channels;
    ost_pool_view v = {in, 0, 0, w->dilation.height * w->input.width * channels, w->dilation.width * channels};
    if (rows.first < rows.end && taps.first < taps.end) {
        v.in += ((y + rows.first * w->dilation.height) * w->input.width + x + taps.first * w->dilation.width) * channels;
        v.rows = rows.end - rows.first;
        v.columns = taps.end - taps.first;
    }
    return v;
}

#endif /* OST_POOL_H */
