/* Transform-coded stem (ost_stem.h): row by row, pixels to ids, ids to outputs. */
#include "ost_stem.h"

#include "../support/ost_window.h"
#include "ost_stem_rows.h"
#include "ost_stem_run.h"
OST_INLINE void *take(char *base, int32_t *used, int32_t bytes)
{
    char *part = base ? base + *used : NULL;
    *used += ost_round_up(bytes, 8);
    return part;
}

ost_stem_buffers ost_stem_lay_out(const ost_stem_s8_params *params, void *base)
{
    const ost_window *w = &params->window;
    const int32_t pairs = ost_stem_pairs(w);
    ost_stem_buffers s = {NULL, NULL, NULL, 0, 0};
    s.ring = (int16_t *)take(base, &s.bytes, w->input.channels * pairs * w->kernel.height * 4);
    s.columns = (int16_t *)take(base, &s.bytes, (pairs + OST_STEM_SLACK) * 4);
    s.map = (uint32_t *)take(base, &s.bytes, w->output.width * params->rows * 4);
    return s;
}

int ost_stem_arguments_are_valid(const ost_stem_s8_params *params, const int8_t *in, const int8_t *out)
{
    const ost_stem_s8_params *p = params;
    return p && in && out && p->rotation && p->padding && p->channels && p->vertical && p->ends && p->horizontal &&
           p->centre && p->maps && p->groups && p->table && p->offset && ost_window_is_valid(&p->window) &&
           p->window.input.channels <= 4 && p->window.output.channels <= OST_STEM_MOST_OUTPUTS && p->window.kernel.height <= 16 && p->window.kernel.width <= 16 &&
           p->window.dilation.height == 1 && p->window.dilation.width == 1 && p->planes >= 1 && p->hashes >= 1 &&
           p->hashes <= 8 && p->rows >= 1 && p->rows <= OST_STEM_MOST_ROWS && p->fraction_bits >= 0 && p->fraction_bits <= 7;
}

void ost_stem_output_row(const ost_stem_s8_params *params, ost_stem_sum_function sum, ost_stem_buffers *buffers,
                         const int8_t *in, int32_t oy, int8_t *out)
{
    const ost_window *w = &params->window;
    const int32_t top = oy * w->stride.height;
    int32_t y = buffers->rotated < top ? top : buffers->rotated;
    for (; y < top + w->kernel.height; y++) {
        ost_stem_rotate_row(params, in, y, buffers->ring);
    }
    buffers->rotated = y;
    ost_stem_map_row(params, top % w->kernel.height, buffers->ring, buffers->columns, buffers->map);
    const ost_stem_sum row = {buffers->map, params->offset, out, w->output.width};
    sum ? sum(&row) : ost_stem_sum_row(params, &row);
}

int32_t ost_stem_s8_scratch_bytes(const ost_stem_s8_params *params)
{
    return ost_stem_lay_out(params, NULL).bytes;
}

ost_status ost_stem_run(const ost_stem_s8_params *params, ost_stem_sum_function sum, const ost_scratch *scratch,
                        const int8_t *in, int8_t *out)
{
    if (!ost_stem_arguments_are_valid(params, in, out)) {
        return OST_BAD_ARGUMENT;
    }
    ost_stem_buffers buffers = ost_stem_lay_out(params, scratch ? scratch->data : NULL);
    if (!scratch || !scratch->data || scratch->bytes < buffers.bytes) {
        return OST_NO_SCRATCH;
    }
    const int32_t row_bytes = params->window.output.width * params->window.output.channels;
    for (int32_t oy = 0; oy < params->window.output.height; oy++, out += row_bytes) {
        ost_stem_output_row(params, sum, &buffers, in, oy, out);
    }
    return OST_OK;
}

ost_status ost_stem_s8(const ost_stem_s8_params *params, const ost_scratch *scratch, const int8_t *in, int8_t *out)
{
    return ost_stem_run(params, NULL, scratch, in, out);
}
