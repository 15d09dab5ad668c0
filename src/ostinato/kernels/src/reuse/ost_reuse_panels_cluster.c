/* Horizontal reuse: the clusters of a panel (ost_reuse_panels.h). */
#include "../support/ost_window.h"
#include "ost_reuse_divide.h"
#include "ost_reuse_hash.h"
#include "ost_reuse_panels.h"

/* Where the windows of the panel's rows begin. */
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
        const int32_t position = panel->p->rows ? panel->p->rows[row] : row;
        const int32_t oy = position / w->output.width, ox = position - oy * w->output.width;
        panel->corners[r] = (oy * w->stride.height * width + ox * w->stride.width) * w->input.channels;
    }
}

/* The vector of the unit that begins at `column`, row by row; rows that are not there hold the zero point. */
OST_INLINE void gather_unit(const ost_reuse_panel *panel, int32_t column, int32_t rows, int8_t *to)
{
    const int32_t length = panel->p->length;
    const int32_t *corners = panel->corners;
    for (int32_t i = 0; i < length; i++) {
        const int8_t *from = panel->x + panel->p->columns[column + i];
        int8_t *at = to + i;
        for (int32_t r = 0; r < rows; r++, at += length) {
            *at = from[corners[r]];
        }
    }
    for (int32_t k = rows * length; k < panel->p->panel_rows * length; k++) {
        to[k] = (int8_t)panel->p->input_zero_point;
    }
}

OST_PHASE_FUNCTION static void ost_reuse_panel_units(const ost_reuse_panel *panel, int32_t first, int32_t count)
{
    const int32_t bytes = panel->p->hash.words * 4, used = panel->p->panel_rows * panel->p->length;
    int32_t rows = panel->p->panel_rows;
    int8_t *to = panel->gather;
    while (panel->corners[rows - 1] < 0) {
        rows--;
    }
    for (int32_t n = 0; n < count; n++, to += bytes) {
        gather_unit(panel, (first + n) * panel->p->length, rows, to);
        for (int32_t k = used; k < bytes; k++) {
            to[k] = 0;
        }
    }
}

/* Slots and sums of all units, a few at a time. */
OST_PHASE_FUNCTION static void ost_reuse_panel_slots(ost_reuse_panel *panel)
{
    const int hashed = ost_panel_is_hashed(panel->p);
    const int32_t step = panel->p->hash.words * 4;
    ost_reuse_clear_clusters(&panel->clusters);
    if (hashed) {
        ost_reuse_clear_slots(&panel->map);
    }
    for (int32_t n = 0; n < panel->units; n += OST_REUSE_UNITS) {
        const int32_t left = panel->units - n, count = left < OST_REUSE_UNITS ? left : OST_REUSE_UNITS;
        uint8_t *slots = panel->slots + n;
        const ost_hash_run run = {panel->gather, step, count, hashed ? (uint8_t *)panel->wide_ids : slots,
                                  hashed ? 2 : 1, hashed ? 2 : 1, 0};
        const ost_vector_rows vectors = {panel->gather, step, count, 1, 0};
        ost_reuse_panel_units(panel, n, count);
        ost_reuse_hash_run(&panel->p->hash, 0, &run);
        if (hashed) {
            *panel->missing += ost_reuse_find_slots(&panel->map, panel->wide_ids, count, slots, 1);
        }
        ost_reuse_sum_clusters(&panel->clusters, &vectors, slots, 1);
    }
    if (panel->clusters.wide) {
        ost_reuse_flush_sums(&panel->clusters);
    }
}

/* Units by slot: a counting sort, which keeps them in order. */
OST_PHASE_FUNCTION static void ost_reuse_panel_order(ost_reuse_panel *panel)
{
    int32_t before = 0;
    for (int32_t slot = 0; slot < panel->clusters.ids; slot++) {
        panel->next[slot] = (uint16_t)before;
        before += panel->clusters.counts[slot];
    }
    for (int32_t n = 0, column = 0; n < panel->units; n++, column += panel->p->length) {
        panel->order[panel->next[panel->slots[n]]++] = (uint16_t)column;
    }
}

/* The place of a vector's value among sums, which are in SXTB16's order. */
OST_INLINE int32_t place_of(int32_t value)
{
    const int32_t lane = value & 3;
    return (value & ~3) | (lane >> 1) | ((lane & 1) << 1);
}

OST_INLINE int32_t sum_at(const ost_clusters *clusters, int32_t slot, int32_t value)
{
    const int32_t place = slot * clusters->words * 4 + place_of(value);
    return clusters->wide ? clusters->wide[place] : clusters->sums[place];
}

OST_PHASE_FUNCTION static void ost_reuse_panel_centroids(const ost_reuse_panel *panel)
{
    const ost_reuse_horizontal_s8_params *p = panel->p;
    const int32_t length = p->length, rows = p->panel_rows;
    int16_t *to = panel->centroids;
    for (int32_t slot = 0; slot < p->slots; slot++) {
        const int32_t members = panel->clusters.counts[slot], origin = members * p->input_zero_point;
        const int32_t reciprocal = ost_reciprocal_of(members);
        if (members == 0) {
            to += ost_panel_values(p, length);
            continue;
        }
        for (int32_t i = 0; i < length; i += 2) {
            for (int32_t r = 0; r < rows; r++, to += 2) {
                const int32_t at = r * length + i, scale = 1 << p->centroid_bits;
                const int32_t even = sum_at(&panel->clusters, slot, at) - origin;
                const int32_t odd = i + 1 < length ? sum_at(&panel->clusters, slot, at + 1) - origin : 0;
                to[0] = (int16_t)ost_divide(even * scale, members, reciprocal);
                to[1] = (int16_t)ost_divide(odd * scale, members, reciprocal);
            }
        }
    }
}

OST_PHASE_FUNCTION void ost_reuse_panel_values(const ost_reuse_panel *panel, int32_t column, int32_t length,
                                               int16_t *values)
{
    const int32_t zero = panel->p->input_zero_point, scale = 1 << panel->p->centroid_bits;
    const int32_t *columns = panel->p->columns + column;
    for (int32_t i = 0; i < length; i += 2) {
        for (int32_t r = 0; r < panel->p->panel_rows; r++, values += 2) {
            const int32_t corner = panel->corners[r];
            const int8_t *from = panel->x + (corner < 0 ? 0 : corner);
            values[0] = (int16_t)(corner < 0 ? 0 : (from[columns[i]] - zero) * scale);
            values[1] = (int16_t)(corner < 0 || i + 1 == length ? 0 : (from[columns[i + 1]] - zero) * scale);
        }
    }
}

OST_PHASE_FUNCTION void ost_reuse_cluster_panel(ost_reuse_panel *panel, int32_t first)
{
    ost_reuse_panel_corners(panel, first);
    ost_reuse_panel_slots(panel);
    ost_reuse_panel_order(panel);
    ost_reuse_panel_centroids(panel);
}
