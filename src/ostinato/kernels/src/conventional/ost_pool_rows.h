/* The max-pool behind a layer whose outputs are made row by row: as many of them are held as a window of it has. */
#ifndef OST_POOL_ROWS_H
#define OST_POOL_ROWS_H

#include "ost_conventional.h"

#include "../support/ost_window.h"

/* Row y of the layer's outputs is in slot y mod count. A maximum does not mind their order, so that none is moved. */
typedef struct {
    const ost_window *pool;
    int8_t *held;
    int32_t count;
    int32_t bytes;            /* of a row */
    ost_pool_s8_params whole; /* one row of the pooling, which takes the maximum over all rows held */
} ost_pool_rows;

/* Rows of the layer's outputs [first, end) that row py of the pooling reads. */
OST_INLINE ost_range ost_pool_rows_read(const ost_window *pool, int32_t py)
{
    const int32_t y = py * pool->stride.height - pool->padding.height;
    const ost_range r = {y < 0 ? 0 : y,
                         y + pool->kernel.height < pool->input.height ? y + pool->kernel.height : pool->input.height};
    return r;
}

OST_INLINE int32_t ost_pool_rows_count(const ost_window *pool)
{
    return pool->kernel.height < pool->input.height ? pool->kernel.height : pool->input.height;
}

/* Of all rows held. */
OST_INLINE int32_t ost_pool_rows_bytes(const ost_window *pool)
{
    return ost_round_up(ost_pool_rows_count(pool) * pool->input.width * pool->input.channels, 8);
}

/* Whether `pool` is of the outputs of `layer`, and each of its windows has rows of them, next to each other. */
OST_INLINE int ost_pool_rows_are_valid(const ost_window *pool, const ost_window *layer)
{
    return ost_window_is_valid(pool) && pool->dilation.height == 1 && pool->padding.height < pool->kernel.height &&
           pool->input.height == layer->output.height && pool->input.width == layer->output.width &&
           pool->input.channels == layer->output.channels && pool->output.channels == layer->output.channels &&
           ost_pool_rows_read(pool, pool->output.height - 1).first < pool->input.height;
}

OST_INLINE ost_pool_rows ost_pool_rows_at(const ost_window *pool, int8_t *held)
{
    ost_pool_rows rows = {pool, held, ost_pool_rows_count(pool), pool->input.width * pool->input.channels, {*pool}};
    rows.whole.window.input.height = rows.count;
    rows.whole.window.kernel.height = rows.count;
    rows.whole.window.output.height = 1;
    rows.whole.window.padding.height = 0;
    return rows;
}

OST_INLINE int8_t *ost_pool_rows_slot(const ost_pool_rows *rows, int32_t y)
{
    return rows->held + y % rows->count * rows->bytes;
}

/* Row py of the pooling, of whose rows `read` all are held. */
OST_INLINE void ost_pool_rows_finish(const ost_pool_rows *rows, ost_range read, int32_t py, int8_t *out)
{
    for (int32_t y = read.end; y < read.first + rows->count; y++) { /* beyond a border: a row of the window once more */
        ost_copy_bytes(ost_pool_rows_slot(rows, y), ost_pool_rows_slot(rows, read.end - 1), rows->bytes);
    }
    ost_max_pool_s8(&rows->whole, NULL, rows->held, out + py * rows->pool->output.width * rows->pool->output.channels);
}

#endif /* OST_POOL_ROWS_H */
