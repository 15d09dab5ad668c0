/* A stem and the max-pool behind it: as many rows of outputs are held as a window of the pooling has. */
#include "../conventional/ost_pool_rows.h"
#include "ost_stem_run.h"

int32_t ost_stem_pooled_s8_scratch_bytes(const ost_stem_pooled_s8_params *params)
{
    return ost_stem_lay_out(&params->layer, NULL).bytes + ost_pool_rows_bytes(&params->pool);
}

ost_status ost_stem_pooled_run(const ost_stem_pooled_s8_params *params, ost_stem_sum_function sum,
                               const ost_scratch *scratch, const int8_t *in, int8_t *out)
{
    if (!params || !ost_stem_arguments_are_valid(&params->layer, in, out) ||
        !ost_pool_rows_are_valid(&params->pool, &params->layer.window)) {
        return OST_BAD_ARGUMENT;
    }
    ost_stem_buffers buffers = ost_stem_lay_out(&params->layer, scratch ? scratch->data : NULL);
    if (!scratch || !scratch->data || scratch->bytes < buffers.bytes + ost_pool_rows_bytes(&params->pool)) {
        return OST_NO_SCRATCH;
    }
    const ost_pool_rows rows = ost_pool_rows_at(&params->pool, (int8_t *)scratch->data + buffers.bytes);
    int32_t next = 0; /* row of the layer's outputs */
    for (int32_t py = 0; py < params->pool.output.height; py++) {
        const ost_range read = ost_pool_rows_read(&params->pool, py);
        for (next = next < read.first ? read.first : next; next < read.end; next++) {
            ost_stem_output_row(&params->layer, sum, &buffers, in, next, ost_pool_rows_slot(&rows, next));
        }
        ost_pool_rows_finish(&rows, read, py, out);
    }
    return OST_OK;
}

ost_status ost_stem_pooled_s8(const ost_stem_pooled_s8_params *params, const ost_scratch *scratch, const int8_t *in,
                              int8_t *out)
{
    return ost_stem_pooled_run(params, NULL, scratch, in, out);
}
