/* The convolution in CMSIS-NN's style and the max-pool behind it, for networks that have no room for the dense kernel's
 * padding and scratch: as many rows of outputs are held as a window of the pooling has. */
#include "ost_conv_s8_cmsis_run.h"
#include "ost_pool_rows.h"

OST_INLINE int32_t layer_bytes(const ost_conv_s8_cmsis_pooled_params *params)
{
    return ost_round_up(ost_conv_s8_cmsis_scratch_bytes(&params->layer), 8);
}

int32_t ost_conv_s8_cmsis_pooled_scratch_bytes(const ost_conv_s8_cmsis_pooled_params *params)
{
    return layer_bytes(params) + ost_pool_rows_bytes(&params->pool);
}

/* Rows [next, end) of the convolution's outputs. */
OST_INLINE void hold_rows(const ost_conv_s8_cmsis_params *params, int16_t *columns, const int8_t *in,
                          const ost_pool_rows *rows, int32_t next, int32_t end)
{
    const ost_window *w = &params->window;
    const int32_t length = ost_window_columns(w);
    int8_t *waiting = NULL; /* where a pixel goes that is laid out but not multiplied yet */
    for (; next < end; next++) {
        const int32_t y = next * w->stride.height - w->padding.height;
        int8_t *out = ost_pool_rows_slot(rows, next);
        for (int32_t ox = 0; ox < w->output.width; ox++, out += w->output.channels) {
            const int32_t x = ox * w->stride.width - w->padding.width;
            ost_conv_s8_cmsis_im2col(params, in, y, x, waiting ? columns + length : columns);
            if (waiting) {
                ost_conv_s8_cmsis_gemm(params, columns, length, waiting, out);
            }
            waiting = waiting ? NULL : out;
        }
    }
    if (waiting) {
        ost_conv_s8_cmsis_gemm(params, columns, 0, waiting, waiting);
    }
}

ost_status ost_conv_s8_cmsis_pooled(const ost_conv_s8_cmsis_pooled_params *params, const ost_scratch *scratch,
                                    const int8_t *in, int8_t *out)
{
    if (!params || !ost_conv_s8_cmsis_arguments_are_valid(&params->layer, in, out) ||
        !ost_pool_rows_are_valid(&params->pool, &params->layer.window)) {
        return OST_BAD_ARGUMENT;
    }
    if (!scratch || !scratch->data || scratch->bytes < ost_conv_s8_cmsis_pooled_scratch_bytes(params)) {
        return OST_NO_SCRATCH;
    }
    const ost_pool_rows rows = ost_pool_rows_at(&params->pool, (int8_t *)scratch->data + layer_bytes(params));
    int32_t next = 0; /* row of the convolution's outputs */
    for (int32_t py = 0; py < params->pool.output.height; py++) {
        const ost_range read = ost_pool_rows_read(&params->pool, py);
        next = next < read.first ? read.first : next;
        hold_rows(&params->layer, (int16_t *)scratch->data, in, &rows, next, read.end);
        next = read.end;
        ost_pool_rows_finish(&rows, read, py, out);
    }
    return OST_OK;
}
