/* Horizontal reuse in image scope (GR section 3.4, M-2): in each panel of l rows, similar blocks of columns are clustered,
 * weights are summed by cluster, and centroids are multiplied by the sums. There is no im2col matrix; a panel's values
 * are gathered, a few blocks at a time. */
#include "ost_reuse.h"
#include "../support/ost_window.h"
#include "ost_reuse_panels.h"
#include "ost_reuse_slices.h"

OST_INLINE void *take(char *base, int32_t *used, int32_t bytes)
{
    char *part = base ? base + *used : NULL;
    *used += ost_round_up(bytes, 8);
    return part;
}

/* Rows of the padded input that the windows of any panel reach: all, if its rows are far apart. */
OST_INLINE int32_t rows_reached(const ost_reuse_horizontal_s8_params *p)
{
    const ost_window *w = &p->window;
    const int32_t positions = w->output.height * w->output.width;
    int32_t most = 0;
    for (int32_t first = 0; first < positions; first += p->panel_rows) {
        const ost_panel_span span = ost_reuse_panel_span(p, first);
        most = span.last - span.first > most ? span.last - span.first : most;
    }
    return most * w->stride.height + (w->kernel.height - 1) * w->dilation.height + 1;
}

ost_reuse_panel ost_reuse_lay_out_panel(const ost_reuse_horizontal_s8_params *p, void *base)
{
    const int32_t words = p->hash.words, hashed = ost_panel_is_hashed(p), rows = p->rows_together;
    const int32_t units = ost_window_columns(&p->window) / p->length;
    const int32_t places = hashed ? 1 << ost_reuse_slot_bits(p->slots) : 0;
    const int32_t row = (p->window.input.width + 2 * p->window.padding.width) * p->window.input.channels;
    int32_t *bytes;
    ost_reuse_panel s;
    s.p = p;
    s.units = units;
    s.found = 0;
    s.bytes = 0;
    bytes = &s.bytes;
    s.missing = (int32_t *)take(base, bytes, 4);
    s.rows = rows;
    s.height = p->compact ? 0 : rows_reached(p);
    s.top = -1;
    s.padded = (int8_t *)take(base, bytes, ost_reuse_is_padded(&p->window) ? s.height * row : 0);
    s.x = s.padded;
    s.at = -1;
    s.corners = (int32_t *)take(base, bytes, (p->compact ? rows : p->panel_rows) * 4);
    s.placed = s.corners;
    s.tops = (int32_t *)take(base, bytes, p->compact ? rows * 4 : 0);
    s.line = (int8_t *)take(base, bytes, p->compact ? rows : 0);
    s.gather = (int8_t *)take(base, bytes, p->units_together * words * 4);
    s.wide_ids = (uint16_t *)take(base, bytes, hashed ? p->units_together * 2 : 0);
    s.slots = (uint8_t *)take(base, bytes, units);
    s.order = (uint16_t *)take(base, bytes, units * 2);
    s.ends = (uint16_t *)take(base, bytes, (p->slots + 1) * 2);
    s.centroids = (int16_t *)take(base, bytes, (p->slots * p->length + 1) / 2 * rows * 4);
    s.alone = (int16_t *)take(base, bytes, rows * 4);
    s.acc = (int32_t *)take(base, bytes, rows * 16);
    s.map.keys = (uint16_t *)take(base, bytes, places * 2);
    s.map.slots = (uint8_t *)take(base, bytes, places);
    s.map.bits = hashed ? ost_reuse_slot_bits(p->slots) : 0;
    s.map.most = p->slots;
    s.map.used = 0;
    return s;
}

OST_INLINE int slots_are_valid(const ost_reuse_horizontal_s8_params *p)
{
    return p->hash.hashes >= 1 && p->hash.hashes <= 16 && p->slots >= 1 &&
           p->slots <= (ost_panel_is_hashed(p) ? OST_REUSE_MOST_SLOTS : 1 << p->hash.hashes);
}

OST_INLINE int rows_are_valid(const ost_reuse_horizontal_s8_params *p)
{
    return p->panel_rows >= 1 && p->rows_together >= 1 && p->rows_together <= p->panel_rows &&
           p->units_together >= 1 &&
           p->units_together <= OST_REUSE_UNITS;
}

OST_INLINE int arguments_are_valid(const ost_reuse_horizontal_s8_params *p, const int8_t *in, const int8_t *out)
{
    return p && in && out && p->weights && p->bias && p->columns && p->output.multiplier && p->output.shift &&
           p->hash.offsets && p->hash.vectors && ost_window_is_valid(&p->window) && slots_are_valid(p) &&
           rows_are_valid(p) && p->length >= 1 && ost_window_columns(&p->window) >= p->length &&
           ost_window_columns(&p->window) <= UINT16_MAX &&
           p->hash.words == (p->panel_rows * p->length + 3) / 4 && p->centroid_bits >= 0 && p->centroid_bits <= 7 &&
           p->window.output.height * p->window.output.width <= UINT16_MAX;
}

int32_t ost_reuse_horizontal_s8_scratch_bytes(const ost_reuse_horizontal_s8_params *params)
{
    return params->length < 1 || params->panel_rows < 1 || params->rows_together < 1 ? 0 : ost_reuse_lay_out_panel(params, NULL).bytes;
}

ost_status ost_reuse_horizontal_s8(const ost_reuse_horizontal_s8_params *params, const ost_scratch *scratch,
                                   const int8_t *in, int8_t *out)
{
    const ost_reuse_horizontal_s8_params *p = params;
    if (!arguments_are_valid(p, in, out)) {
        return OST_BAD_ARGUMENT;
    }
    ost_reuse_panel panel = ost_reuse_lay_out_panel(p, scratch ? scratch->data : NULL);
    if (!scratch || !scratch->data || scratch->bytes < panel.bytes) {
        return OST_NO_SCRATCH;
    }
    const int32_t positions = p->window.output.height * p->window.output.width;
    *panel.missing = 0;
    if (p->compact || !ost_reuse_is_padded(&p->window)) {
        panel.x = in;
        panel.top = 0;
    }
    for (int32_t first = 0; first < positions; first += p->panel_rows) {
        ost_reuse_cluster_panel(&panel, first, in);
        for (int32_t r = 0; r < p->panel_rows && first + r < positions; r += panel.rows) {
            const int32_t left = p->panel_rows - r;
            ost_reuse_take_rows(&panel, first, r, left < p->rows_together ? left : p->rows_together);
            ost_reuse_panel_centroids(&panel);
            ost_reuse_multiply_panel(&panel, first + r, out);
        }
    }
    return OST_OK;
}
