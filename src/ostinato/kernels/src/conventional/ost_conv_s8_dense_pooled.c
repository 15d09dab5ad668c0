/* The dense convolution and the max-pool behind it: as many rows of outputs are held as a window of the pooling has. */
#include "ost_conv_s8_dense_run.h"
#include "ost_pool_rows.h"

OST_INLINE int32_t layer_bytes(const ost_conv_s8_dense_pooled_params *params)
{
    return ost_round_up(ost_conv_s8_dense_scratch_bytes(&params->layer), 8);
}

int32_t ost_conv_s8_dense_pooled_scratch_bytes(const ost_conv_s8_dense_pooled_params *params)
{
    return layer_bytes(params) + ost_pool_rows_bytes(&params->pool);
}

ost_status ost_conv_s8_dense_pooled(const ost_conv_s8_dense_pooled_params *params, const ost_scratch *scratch,
                                    const int8_t *in, int8_t *out)
{
    if (!params || !ost_conv_s8_dense_arguments_are_valid(&params->layer, in, out) ||
        params->layer.out_stride != params->layer.window.output.channels ||
        !ost_pool_rows_are_valid(&params->pool, &params->layer.window)) {
        return OST_BAD_ARGUMENT;
    }
    if (!scratch || !scratch->data || scratch->bytes < ost_conv_s8_dense_pooled_scratch_bytes(params)) {
        return OST_NO_SCRATCH;
    }
    const ost_dense_run run = ost_conv_s8_dense_begin(&params->layer, in, scratch->data);
    const ost_pool_rows rows = ost_pool_rows_at(&params->pool, (int8_t *)scratch->data + layer_bytes(params));
    ost_dense_outputs outputs = {NULL, rows.held, rows.held + rows.count * rows.bytes};
    int32_t next = 0; /* row of the convolution's outputs */
    for (int32_t py = 0; py < params->pool.output.height; py++) {
        const ost_range read = ost_pool_rows_read(&params->pool, py);
        next = next < read.first ? read.first : next;
        outputs.next = ost_pool_rows_slot(&rows, next);
        ost_conv_s8_dense_rows(&run, next, read.end, outputs);
        next = read.end;
        ost_pool_rows_finish(&rows, read, py, out);
    }
    return OST_OK;
}
