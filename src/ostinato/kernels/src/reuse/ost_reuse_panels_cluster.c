/* Horizontal reuse: the clusters of a panel (ost_reuse_panels.h). */
#include "../support/ost_window.h"
#include "ost_reuse_divide.h"
#include "ost_reuse_gather.h"
#include "ost_reuse_hash.h"
#include "ost_reuse_panels.h"
#include "ost_reuse_slices.h"

OST_PHASE_FUNCTION ost_panel_span ost_reuse_panel_span(const ost_reuse_horizontal_s8_params *p, int32_t first)
{
    const int32_t width = p->window.output.width, positions = p->window.output.height * width;
    const int32_t end = first + p->panel_rows < positions ? first + p->panel_rows : positions;
    int32_t lowest = ost_panel_position(p, first), highest = ost_panel_position(p, end - 1);
    for (int32_t row = first; p->rows && row < end; row++) {
        lowest = p->rows[row] < lowest ? p->rows[row] : lowest;
        highest = p->rows[row] > highest ? p->rows[row] : highest;
    }
    const ost_panel_span span = {lowest / width, highest / width};
    return span;
}

/* The rows of the padded input that the panel's windows reach, if they are not there yet. */
OST_INLINE void pad_panel(ost_reuse_panel *panel, int32_t first, const int8_t *in)
{
    const ost_window *w = &panel->p->window;
    if (w->padding.height == 0 && w->padding.width == 0) {
        return;
    }
    const int32_t last = w->input.height + 2 * w->padding.height - panel->height;
    const int32_t reached = ost_reuse_panel_span(panel->p, first).first * w->stride.height;
    const int32_t top = reached < last ? reached : last;
    if (top != panel->top) {
        panel->top = top;
        ost_reuse_pad_rows(w, panel->p->input_zero_point, in, top, panel->height, panel->padded);
    }
}

/* Where the windows of the panel's rows begin in the part of the input that there is. */
OST_PHASE_FUNCTION static void ost_reuse_panel_corners(ost_reuse_panel *panel, int32_t first)
{
    const ost_window *w = &panel->p->window;
    const int32_t positions = w->output.height * w->output.width, width = w->input.width + 2 * w->padding.width;
    for (int32_t r = 0; r < panel->p->panel_rows; r++) {
        const int32_t row = first + r;
        if (row >= positions) {
            panel->corners[r] = -1;
            continue;
        }
        const int32_t position = ost_panel_position(panel->p, row);
        const int32_t oy = position / w->output.width, ox = position - oy * w->output.width;
        panel->corners[r] = ((oy * w->stride.height - panel->top) * width + ox * w->stride.width) * w->input.channels;
    }
}

/* How many units from `first` on, `most` at the most, lie at equal distances: *step bytes. */
OST_INLINE int32_t units_in_step(const ost_reuse_horizontal_s8_params *p, int32_t first, int32_t most, int32_t *step)
{
    const int32_t length = p->length;
    const int32_t *at = p->columns + first * length;
    int32_t count = 1;
    *step = most > 1 ? at[length] - at[0] : 0;
    for (; count < most; count++, at += length) {
        for (int32_t i = 0; i < length; i++) {
            if (at[length + i] - at[i] != *step) {
                return count;
            }
        }
    }
    return count;
}

/* Value v of the n-th unit from `first` on; rows that are not there hold the zero point, and nothing the last word. */
OST_INLINE int8_t value_of(const ost_reuse_panel *panel, int32_t first, int32_t v)
{
    const ost_reuse_horizontal_s8_params *p = panel->p;
    const int32_t r = v / p->length;
    if (r >= p->panel_rows) {
        return 0;
    }
    const int32_t corner = panel->corners[r];
    return corner < 0 ? (int8_t)p->input_zero_point
                      : panel->x[corner + p->columns[first * p->length + v - r * p->length]];
}

/* Vectors of units, row by row: a word of four values of all units in step at a time. */
OST_PHASE_FUNCTION static void ost_reuse_panel_units(const ost_reuse_panel *panel, int32_t first, int32_t count)
{
    const ost_reuse_horizontal_s8_params *p = panel->p;
    const int32_t words = p->hash.words, length = p->length;
    int32_t rows = p->panel_rows;
    int8_t *to = panel->gather;
    while (panel->corners[rows - 1] < 0) {
        rows--;
    }
    while (count > 0) {
        int32_t step, offsets[4];
        const int32_t together = units_in_step(p, first, count, &step);
        const int32_t *columns = p->columns + first * length;
        for (int32_t w = 0, r = 0, i = 0; w < rows * length / 4; w++) {
            const ost_gather gather = {panel->x, offsets, to + 4 * w, step, 4 * words, together};
            for (int32_t k = 0; k < 4; k++) {
                offsets[k] = panel->corners[r] + columns[i];
                i++;
                if (i == length) {
                    i = 0;
                    r++;
                }
            }
            ost_reuse_gather_word(&gather);
        }
        for (int32_t n = 0; n < together; n++, to += 4 * words) {
            for (int32_t v = rows * length / 4 * 4; v < 4 * words; v++) {
                to[v] = value_of(panel, first + n, v);
            }
        }
        first += together;
        count -= together;
    }
}

/* Slots of all units, a few at a time. */
OST_PHASE_FUNCTION static void ost_reuse_panel_slots(ost_reuse_panel *panel, int32_t first)
{
    const int hashed = ost_panel_is_hashed(panel->p);
    if (hashed) {
        ost_reuse_clear_slots(&panel->map);
    }
    const int32_t most = panel->p->units_together, compact = panel->p->compact;
    for (int32_t n = 0; n < panel->units; n += most) {
        const int32_t left = panel->units - n, count = left < most ? left : most;
        uint8_t *slots = panel->slots + n;
        const ost_hash_run run = {panel->gather, panel->p->hash.words * 4, count,
                                  hashed ? (uint8_t *)panel->wide_ids : slots, hashed ? 2 : 1, hashed ? 2 : 1, 0};
        if (compact) {
            ost_reuse_fill_units(panel, first, n, count);
        } else {
            ost_reuse_panel_units(panel, n, count);
        }
        ost_reuse_hash_run(&panel->p->hash, 0, &run);
        if (hashed) {
            *panel->missing += ost_reuse_find_slots(&panel->map, panel->wide_ids, count, slots, 1);
        }
    }
}

/* Units by slot: a counting sort, which keeps them in order. Slots without units are no clusters. */
OST_PHASE_FUNCTION static void ost_reuse_panel_order(ost_reuse_panel *panel)
{
    const int32_t slots = panel->p->slots, units = panel->units;
    uint16_t *ends = panel->ends;
    int32_t before = 0;
    for (int32_t slot = 0; slot <= slots; slot++) {
        ends[slot] = 0;
    }
    for (int32_t n = 0; n < units; n++) {
        ends[panel->slots[n]]++;
    }
    for (int32_t slot = 0; slot <= slots; slot++) {
        const int32_t members = ends[slot];
        ends[slot] = (uint16_t)before;
        before += members;
    }
    for (int32_t n = 0, column = 0; n < units; n++, column += panel->p->length) {
        panel->order[ends[panel->slots[n]]++] = (uint16_t)column;
    }
    panel->found = 0;
    before = 0;
    for (int32_t slot = 0; slot < slots; slot++) {
        if (ends[slot] > before) {
            before = ends[slot];
            ends[panel->found++] = (uint16_t)before;
        }
    }
}

/* One column of a cluster's centroid, four rows at a time, to every other value. */
OST_INLINE void write_centroid(const ost_reuse_panel *panel, const uint16_t *order, int32_t members, int32_t i,
                               int16_t *to)
{
    const ost_reuse_horizontal_s8_params *p = panel->p;
    const int32_t origin = members * p->input_zero_point, scale = 1 << p->centroid_bits;
    const int32_t reciprocal = ost_reciprocal_of(members);
    for (int32_t r = 0; r < panel->rows; r += 4) {
        const int32_t left = panel->rows - r, count = left < 4 ? left : 4;
        const int8_t *from[4];
        int32_t sums[4] = {0, 0, 0, 0};
        for (int32_t k = 0; k < 4; k++) {
            const int32_t corner = panel->placed[r + (k < count ? k : 0)];
            from[k] = panel->x + (corner < 0 ? 0 : corner);
        }
        for (int32_t n = 0; n < members; n++) {
            const int32_t column = p->columns[order[n] + i];
            sums[0] += from[0][column];
            sums[1] += from[1][column];
            sums[2] += from[2][column];
            sums[3] += from[3][column];
        }
        for (int32_t k = 0; k < count; k++, to += 2) {
            const int there = panel->placed[r + k] >= 0;
            *to = (int16_t)(there ? ost_divide((sums[k] - origin) * scale, members, reciprocal) : 0);
        }
    }
}

/* The same of a compact panel: members are read one after the other. */
OST_PHASE_FUNCTION static void ost_reuse_fill_centroid(const ost_reuse_panel *panel, const uint16_t *order,
                                                       int32_t members, int32_t i, int16_t *to)
{
    const ost_reuse_horizontal_s8_params *p = panel->p;
    const int32_t origin = members * p->input_zero_point, scale = 1 << p->centroid_bits;
    const int32_t reciprocal = ost_reciprocal_of(members);
    int32_t *sums = panel->acc;
    for (int32_t r = 0; r < panel->rows; r++) {
        sums[r] = -origin;
    }
    for (int32_t n = 0; n < members; n++) {
        ost_reuse_read_column(panel, order[n] + i);
        for (int32_t r = 0; r < panel->rows; r++) {
            sums[r] += panel->line[r];
        }
    }
    for (int32_t r = 0; r < panel->rows; r++, to += 2) {
        *to = (int16_t)ost_divide(sums[r] * scale, members, reciprocal);
    }
}

OST_PHASE_FUNCTION void ost_reuse_panel_centroids(const ost_reuse_panel *panel)
{
    const int32_t length = panel->p->length, pair = 2 * panel->rows;
    int32_t first = 0, column = 0;
    for (int32_t cluster = 0; cluster < panel->found; cluster++) {
        const int32_t end = panel->ends[cluster];
        for (int32_t i = 0; i < length; i++, column++) {
            int16_t *to = panel->centroids + column / 2 * pair + column % 2;
            if (panel->p->compact) {
                ost_reuse_fill_centroid(panel, panel->order + first, end - first, i, to);
            } else {
                write_centroid(panel, panel->order + first, end - first, i, to);
            }
        }
        first = end;
    }
    for (int32_t r = 0; column % 2 != 0 && r < pair; r += 2) {
        panel->centroids[column / 2 * pair + 1 + r] = 0; /* the last one has no partner */
    }
}

OST_PHASE_FUNCTION void ost_reuse_take_rows(ost_reuse_panel *panel, int32_t first, int32_t r, int32_t count)
{
    if (panel->p->compact) {
        ost_reuse_place_rows(panel, first + r, count);
        return;
    }
    panel->rows = count;
    panel->placed = panel->corners + r;
}

OST_PHASE_FUNCTION void ost_reuse_cluster_panel(ost_reuse_panel *panel, int32_t first, const int8_t *in)
{
    if (!panel->p->compact) {
        pad_panel(panel, first, in);
        ost_reuse_panel_corners(panel, first);
    }
    ost_reuse_panel_slots(panel, first);
    ost_reuse_panel_order(panel);
}
