/* Horizontal reuse: columns of a compact panel (ost_reuse_panels.h). */
#include "../support/ost_window.h"
#include "ost_reuse_panels.h"

OST_PHASE_FUNCTION void ost_reuse_place_rows(ost_reuse_panel *panel, int32_t first, int32_t count)
{
    const ost_window *w = &panel->p->window;
    const int32_t positions = w->output.height * w->output.width;
    panel->rows = count;
    for (int32_t r = 0; r < count; r++) {
        if (first + r >= positions) {
            panel->tops[r] = w->input.height; /* no row of the input from there on */
            panel->corners[r] = 0;
            continue;
        }
        const int32_t position = ost_panel_position(panel->p, first + r);
        const int32_t oy = position / w->output.width, ox = position - oy * w->output.width;
        panel->tops[r] = oy * w->stride.height - w->padding.height;
        panel->corners[r] = (ox * w->stride.width - w->padding.width) * w->input.channels;
    }
}

OST_PHASE_FUNCTION void ost_reuse_read_column(const ost_reuse_panel *panel, int32_t column)
{
    const ost_window *w = &panel->p->window;
    const int32_t inside = w->input.width * w->input.channels, padded = inside + 2 * w->padding.width * w->input.channels;
    const int32_t offset = panel->p->columns[column], down = offset / padded, across = offset - down * padded;
    const int8_t zero = (int8_t)panel->p->input_zero_point;
    for (int32_t r = 0; r < panel->rows; r++) {
        const int32_t row = panel->tops[r] + down, element = panel->corners[r] + across;
        const int in = row >= 0 && row < w->input.height && element >= 0 && element < inside;
        panel->line[r] = in ? panel->x[row * inside + element] : zero;
    }
}

/* A few rows at a time; the last word ends in zeros. */
OST_PHASE_FUNCTION void ost_reuse_fill_units(ost_reuse_panel *panel, int32_t first, int32_t unit, int32_t count)
{
    const ost_reuse_horizontal_s8_params *p = panel->p;
    const int32_t length = p->length, lanes = 4 * p->hash.words;
    for (int32_t r = 0; r < p->panel_rows; r += panel->rows) {
        const int32_t left = p->panel_rows - r;
        ost_reuse_place_rows(panel, first + r, left < p->rows_together ? left : p->rows_together);
        for (int32_t i = 0; i < count * length; i++) {
            int8_t *to = panel->gather + i / length * lanes + r * length + i % length;
            ost_reuse_read_column(panel, unit * length + i);
            for (int32_t k = 0; k < panel->rows; k++, to += length) {
                *to = panel->line[k];
            }
        }
    }
    for (int32_t n = 0; n < count; n++) {
        ost_fill_bytes(panel->gather + n * lanes + p->panel_rows * length, 0, lanes - p->panel_rows * length);
    }
}
