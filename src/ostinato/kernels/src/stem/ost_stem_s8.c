/* Transform-coded stem (ost_stem.h): row by row, pixels to ids, ids to outputs. */
#include "ost_stem.h"

#include "../support/ost_window.h"
#include "ost_stem_rows.h"
#include "ost_stem_sum.h"

/* The kernel's scratch, in this order; every part is aligned to 8 bytes. */
typedef struct {
    int16_t *ring;
    int16_t *columns;
    uint32_t *map;
    int32_t bytes;
} stem_scratch;

OST_INLINE void *take(char *base, int32_t *used, int32_t bytes)
{
    char *part = base ? base + *used : NULL;
    *used += ost_round_up(bytes, 8);
    return part;
}

OST_INLINE stem_scratch lay_out(const ost_stem_s8_params *p, void *base)
{
    const ost_window *w = &p->window;
    const int32_t pairs = ost_stem_pairs(w);
    stem_scratch s = {NULL, NULL, NULL, 0};
    s.ring = (int16_t *)take(base, &s.bytes, w->input.channels * pairs * w->kernel.height * 4);
    s.columns = (int16_t *)take(base, &s.bytes, (pairs + OST_STEM_SLACK) * 4);
    s.map = (uint32_t *)take(base, &s.bytes, w->output.width * p->rows * 4);
    return s;
}

OST_INLINE int arguments_are_valid(const ost_stem_s8_params *p, const int8_t *in, const int8_t *out)
{
    return p && in && out && p->rotation && p->padding && p->channels && p->vertical && p->ends && p->horizontal &&
           p->centre && p->maps && p->groups && p->table && p->offset && ost_window_is_valid(&p->window) &&
           p->window.input.channels <= 4 && p->window.output.channels <= OST_STEM_MOST_OUTPUTS && p->window.kernel.height <= 16 && p->window.kernel.width <= 16 &&
           p->window.dilation.height == 1 && p->window.dilation.width == 1 && p->planes >= 1 && p->hashes >= 1 &&
           p->hashes <= 8 && p->rows >= 1 && p->rows <= OST_STEM_MOST_ROWS && p->fraction_bits >= 0 && p->fraction_bits <= 7;
}

int32_t ost_stem_s8_scratch_bytes(const ost_stem_s8_params *params)
{
    return lay_out(params, NULL).bytes;
}

ost_status ost_stem_run(const ost_stem_s8_params *params, ost_stem_sum_function sum, const ost_scratch *scratch,
                        const int8_t *in, int8_t *out)
{
    const ost_stem_s8_params *p = params;
    if (!arguments_are_valid(p, in, out)) {
        return OST_BAD_ARGUMENT;
    }
    const stem_scratch m = lay_out(p, scratch ? scratch->data : NULL);
    if (!scratch || !scratch->data || scratch->bytes < m.bytes) {
        return OST_NO_SCRATCH;
    }
    const ost_window *w = &p->window;
    const int32_t row_bytes = w->output.width * w->output.channels;
    int32_t rotated = 0;
    for (int32_t oy = 0; oy < w->output.height; oy++, out += row_bytes) {
        const int32_t top = oy * w->stride.height;
        for (rotated = rotated < top ? top : rotated; rotated < top + w->kernel.height; rotated++) {
            ost_stem_rotate_row(p, in, rotated, m.ring);
        }
        ost_stem_map_row(p, top % w->kernel.height, m.ring, m.columns, m.map);
        const ost_stem_sum row = {m.map, p->offset, out, w->output.width};
        sum ? sum(&row) : ost_stem_sum_row(p, &row);
    }
    return OST_OK;
}

ost_status ost_stem_s8(const ost_stem_s8_params *params, const ost_scratch *scratch, const int8_t *in, int8_t *out)
{
    return ost_stem_run(params, NULL, scratch, in, out);
}
