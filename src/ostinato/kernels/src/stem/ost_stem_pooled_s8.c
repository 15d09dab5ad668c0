/* A stem and the max-pool behind it: as many rows of outputs are held as a window of the pooling has. */
#include "ost_conventional.h"

#include "../support/ost_window.h"
#include "ost_stem_run.h"

/* Rows of the stem's outputs [first, end) that a row of the pooling reads. */
OST_INLINE ost_range rows_of(const ost_window *pool, int32_t py)
{
    const int32_t y = py * pool->stride.height - pool->padding.height;
    const ost_range r = {y < 0 ? 0 : y,
                         y + pool->kernel.height < pool->input.height ? y + pool->kernel.height : pool->input.height};
    return r;
}

OST_INLINE int32_t row_bytes(const ost_window *pool)
{
    return pool->input.width * pool->input.channels;
}

/* Rows held: row y of the outputs is in slot y mod slots. A maximum does not mind their order, so that none is moved. */
OST_INLINE int32_t slots(const ost_window *pool)
{
    return pool->kernel.height < pool->input.height ? pool->kernel.height : pool->input.height;
}

OST_INLINE int32_t held_bytes(const ost_window *pool)
{
    return ost_round_up(slots(pool) * row_bytes(pool), 8);
}

OST_INLINE int pool_is_valid(const ost_stem_pooled_s8_params *params)
{
    const ost_window *pool = &params->pool, *w = &params->layer.window;
    return ost_window_is_valid(pool) && pool->dilation.height == 1 && pool->padding.height < pool->kernel.height &&
           pool->input.height == w->output.height && pool->input.width == w->output.width &&
           pool->input.channels == w->output.channels && pool->output.channels == w->output.channels &&
           rows_of(pool, pool->output.height - 1).first < pool->input.height;
}

/* One row of the pooling, which takes the maximum over all rows held. */
OST_INLINE ost_pool_s8_params one_row(const ost_window *pool)
{
    ost_pool_s8_params row = {*pool};
    row.window.input.height = slots(pool);
    row.window.kernel.height = slots(pool);
    row.window.output.height = 1;
    row.window.padding.height = 0;
    return row;
}

int32_t ost_stem_pooled_s8_scratch_bytes(const ost_stem_pooled_s8_params *params)
{
    return ost_stem_lay_out(&params->layer, NULL).bytes + held_bytes(&params->pool);
}

ost_status ost_stem_pooled_run(const ost_stem_pooled_s8_params *params, ost_stem_sum_function sum,
                               const ost_scratch *scratch, const int8_t *in, int8_t *out)
{
    if (!params || !ost_stem_arguments_are_valid(&params->layer, in, out) || !pool_is_valid(params)) {
        return OST_BAD_ARGUMENT;
    }
    ost_stem_buffers buffers = ost_stem_lay_out(&params->layer, scratch ? scratch->data : NULL);
    if (!scratch || !scratch->data || scratch->bytes < buffers.bytes + held_bytes(&params->pool)) {
        return OST_NO_SCRATCH;
    }
    const ost_pool_s8_params row = one_row(&params->pool);
    const int32_t bytes = row_bytes(&params->pool), count = slots(&params->pool);
    int8_t *held = (int8_t *)scratch->data + buffers.bytes;
    int32_t next = 0; /* row of the layer's outputs */
    for (int32_t py = 0; py < params->pool.output.height; py++) {
        const ost_range rows = rows_of(&params->pool, py);
        for (next = next < rows.first ? rows.first : next; next < rows.end; next++) {
            ost_stem_output_row(&params->layer, sum, &buffers, in, next, held + next % count * bytes);
        }
        for (int32_t y = rows.end; y < rows.first + count; y++) { /* beyond a border: a row of the window once more */
            ost_copy_bytes(held + y % count * bytes, held + (rows.end - 1) % count * bytes, bytes);
        }
        ost_max_pool_s8(&row, NULL, held, out + py * row.window.output.width * row.window.output.channels);
    }
    return OST_OK;
}

ost_status ost_stem_pooled_s8(const ost_stem_pooled_s8_params *params, const ost_scratch *scratch, const int8_t *in,
                              int8_t *out)
{
    return ost_stem_pooled_run(params, NULL, scratch, in, out);
}
