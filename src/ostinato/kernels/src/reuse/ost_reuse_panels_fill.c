/* Horizontal reuse: columns of a compact panel (ost_reuse_panels.h). */
#include "../support/ost_window.h"
#include "ost_reuse_panels.h"

OST_PHASE_FUNCTION void ost_reuse_place_rows(ost_reuse_panel *panel, int32_t first, int32_t count)
{
    const ost_window *w = &panel->p->window;
    const int32_t width = w->output.width, positions = w->output.height * width;
    int32_t last = -1, oy = 0, ox = -1;
    if (first == panel->at && count == panel->rows) {
        return;
    }
    panel->at = first;
    panel->rows = count;
    for (int32_t r = 0; r < count; r++) {
        if (first + r >= positions) {
            panel->tops[r] = w->input.height; /* no row of the input from there on */
            panel->corners[r] = 0;
            continue;
        }
        const int32_t position = ost_panel_position(panel->p, first + r);
        ox += position - last;
        last = position;
        if (r == 0 || ox < 0 || ox >= width) {
            oy = position / width;
            ox = position - oy * width;
        }
        panel->tops[r] = oy * w->stride.height - w->padding.height;
        panel->corners[r] = (ox * w->stride.width - w->padding.width) * w->input.channels;
    }
}

OST_PHASE_FUNCTION void ost_reuse_read_column(const ost_reuse_panel *panel, int32_t column)
{
    const ost_window *w = &panel->p->window;
    const int32_t inside = w->input.width * w->input.channels, padded = inside + 2 * w->padding.width * w->input.channels;
    const int32_t offset = panel->p->columns[column], down = offset / padded, across = offset - down * padded;
    const int32_t height = w->input.height, *tops = panel->tops, *corners = panel->corners;
    const int8_t zero = (int8_t)panel->p->input_zero_point, *x = panel->x;
    int8_t *to = panel->line, *const end = to + panel->rows;
    for (; to < end; to++, tops++, corners++) {
        const int32_t row = *tops + down, element = *corners + across;
        /* One comparison each: what is negative is large without a sign. */
        const int in = (uint32_t)row < (uint32_t)height && (uint32_t)element < (uint32_t)inside;
        *to = in ? x[row * inside + element] : zero;
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
        int8_t *vector = panel->gather + r * length;
        for (int32_t n = 0, column = unit * length; n < count; n++, vector += lanes) {
            for (int32_t i = 0; i < length; i++, column++) {
                const int32_t rows = panel->rows;
                const int8_t *line = panel->line;
                int8_t *to = vector + i;
                ost_reuse_read_column(panel, column);
                for (int32_t k = 0; k < rows; k++, to += length) {
                    *to = line[k];
                    OST_KEEP_LOOP();
                }
            }
        }
    }
    for (int32_t n = 0; n < count; n++) {
        ost_fill_bytes(panel->gather + n * lanes + p->panel_rows * length, 0, lanes - p->panel_rows * length);
    }
}
