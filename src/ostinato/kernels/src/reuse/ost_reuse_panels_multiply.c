/* Horizontal reuse: the outputs of a panel, four channels at a time (ost_reuse_panels.h). */
#include "../support/ost_requantize.h"
#include "../support/ost_window.h"
#include "ost_reuse_panels.h"

/* A column of a product: its weights are those of one column of all of a cluster's units. */
typedef struct {
    const uint16_t *order;
    int32_t members; /* that are left */
    int32_t i;       /* which of a unit's columns */
} product_column;

/* Four channels' sums, int16. */
typedef struct {
    uint32_t even; /* channels 0 and 2 */
    uint32_t odd;  /* 1 and 3 */
} four_sums;

/* The next weights that add up within int16. */
OST_PHASE_FUNCTION static four_sums ost_reuse_sum_weights(const int8_t *weights, product_column *column)
{
    const int32_t left = column->members, members = left < OST_REUSE_MOST_SUMMED ? left : OST_REUSE_MOST_SUMMED;
    const uint16_t *order = column->order;
    four_sums sums = {0, 0};
    weights += column->i * 4;
#if OST_HAS_DSP
    int32_t n = 0;
    for (; n + 4 <= members; n += 4) {
        const uint32_t a = ost_load_u32(weights + order[n] * 4), b = ost_load_u32(weights + order[n + 1] * 4);
        const uint32_t c = ost_load_u32(weights + order[n + 2] * 4), d = ost_load_u32(weights + order[n + 3] * 4);
        sums.even = ost_sxtab16(ost_sxtab16(ost_sxtab16(ost_sxtab16(sums.even, a), b), c), d);
        sums.odd = ost_sxtab16_ror8(ost_sxtab16_ror8(ost_sxtab16_ror8(ost_sxtab16_ror8(sums.odd, a), b), c), d);
    }
    for (; n < members; n++) {
        const uint32_t four = ost_load_u32(weights + order[n] * 4);
        sums.even = ost_sxtab16(sums.even, four);
        sums.odd = ost_sxtab16_ror8(sums.odd, four);
    }
#else
    int32_t of[4] = {0, 0, 0, 0};
    for (int32_t n = 0; n < members; n++) {
        for (int32_t m = 0; m < 4; m++) {
            of[m] += weights[order[n] * 4 + m];
        }
    }
    sums.even = ((uint32_t)of[0] & 0xffffu) | (uint32_t)of[2] << 16;
    sums.odd = ((uint32_t)of[1] & 0xffffu) | (uint32_t)of[3] << 16;
#endif
    column->order = order + members;
    column->members = left - members;
    return sums;
}

/* acc (rows x 4) += values (rows x 2) x the sums of two columns' weights. */
OST_PHASE_FUNCTION static void ost_reuse_add_products(const int16_t *values, four_sums first, four_sums second,
                                                      int32_t rows, int32_t *acc)
{
#if OST_HAS_DSP
    const uint32_t a = ost_pkhbt16(first.even, second.even), b = ost_pkhbt16(first.odd, second.odd);
    const uint32_t c = ost_pkhtb16(second.even, first.even), d = ost_pkhtb16(second.odd, first.odd);
    for (int32_t r = 0; r < rows; r++, acc += 4, values += 2) {
        const uint32_t x = ost_load_u32(values);
        acc[0] = ost_smlad(x, a, acc[0]);
        acc[1] = ost_smlad(x, b, acc[1]);
        acc[2] = ost_smlad(x, c, acc[2]);
        acc[3] = ost_smlad(x, d, acc[3]);
    }
#else
    for (int32_t r = 0; r < rows; r++, acc += 4, values += 2) {
        acc[0] += values[0] * (int16_t)first.even + values[1] * (int16_t)second.even;
        acc[1] += values[0] * (int16_t)first.odd + values[1] * (int16_t)second.odd;
        acc[2] += values[0] * (int16_t)(first.even >> 16) + values[1] * (int16_t)(second.even >> 16);
        acc[3] += values[0] * (int16_t)(first.odd >> 16) + values[1] * (int16_t)(second.odd >> 16);
    }
#endif
}

/* Two columns' values times their weights, in as many goes as int16 sums need. */
OST_INLINE void add_pair(const ost_reuse_panel *panel, const int8_t *weights, const int16_t *values,
                         product_column *first, product_column *second)
{
    do {
        const four_sums one = ost_reuse_sum_weights(weights, first), two = ost_reuse_sum_weights(weights, second);
        ost_reuse_add_products(values, one, two, panel->rows, panel->acc);
    } while (first->members + second->members > 0);
}

/* Steps through the columns of all clusters. */
typedef struct {
    const ost_reuse_panel *panel;
    int32_t cluster;
    int32_t i;
} column_cursor;

/* The next one; no members where there is none. */
OST_INLINE product_column next_column(column_cursor *at)
{
    const ost_reuse_panel *panel = at->panel;
    product_column column = {panel->order, 0, at->i};
    if (at->cluster < panel->found) {
        const int32_t begin = at->cluster > 0 ? panel->ends[at->cluster - 1] : 0;
        column.order += begin;
        column.members = panel->ends[at->cluster] - begin;
        at->i++;
        if (at->i == panel->p->length) {
            at->i = 0;
            at->cluster++;
        }
    }
    return column;
}

/* The clusters' centroids times the sums of their weights; `weights` are of these four channels. */
OST_PHASE_FUNCTION static void ost_reuse_add_clusters(const ost_reuse_panel *panel, const int8_t *weights)
{
    const int16_t *values = panel->centroids;
    column_cursor at = {panel, 0, 0};
    for (; at.cluster < panel->found; values += 2 * panel->rows) {
        product_column first = next_column(&at), second = next_column(&at);
        add_pair(panel, weights, values, &first, &second);
    }
}

/* Values 2^f * (q - zero point) of one column, to every other of two columns' values. */
OST_PHASE_FUNCTION static void ost_reuse_panel_values(const ost_reuse_panel *panel, int32_t column, int16_t *values)
{
    const int32_t zero = panel->p->input_zero_point, scale = 1 << panel->p->centroid_bits;
    const int8_t *from = panel->x + panel->p->columns[column];
    if (panel->p->compact) {
        ost_reuse_read_column(panel, column);
        for (int32_t r = 0; r < panel->rows; r++, values += 2) {
            *values = (int16_t)((panel->line[r] - zero) * scale);
        }
        return;
    }
    for (int32_t r = 0; r < panel->rows; r++, values += 2) {
        const int32_t corner = panel->placed[r];
        *values = (int16_t)(corner < 0 ? 0 : (from[corner] - zero) * scale);
    }
}

/* Columns of units without a slot, and those that fill no unit. */
OST_INLINE void add_singles(const ost_reuse_panel *panel, const int8_t *weights)
{
    const int32_t length = panel->p->length, clustered = panel->found > 0 ? panel->ends[panel->found - 1] : 0;
    const int32_t alone = (panel->units - clustered) * length, used = panel->units * length;
    const int32_t columns = alone + ost_window_columns(&panel->p->window) - used;
    for (int32_t k = 0; k < columns; k += 2) {
        uint16_t at[2] = {0, 0};
        product_column two[2] = {{at, 0, 0}, {at + 1, 0, 0}};
        for (int32_t j = 0; j < 2 && k + j < columns; j++) {
            const int32_t unit = (k + j) / length;
            at[j] = (uint16_t)(k + j < alone ? panel->order[clustered + unit] + k + j - unit * length
                                             : used + k + j - alone);
            two[j].members = 1;
            ost_reuse_panel_values(panel, at[j], panel->alone + j);
        }
        add_pair(panel, weights, panel->alone, &two[0], &two[1]);
    }
}

OST_PHASE_FUNCTION static void ost_reuse_finish_panel(const ost_reuse_panel *panel, int32_t first, int32_t channel,
                                                      int8_t *out)
{
    const ost_window *w = &panel->p->window;
    const int32_t positions = w->output.height * w->output.width, channels = w->output.channels;
    const int32_t *acc = panel->acc;
    for (int32_t r = 0; r < panel->rows && first + r < positions; r++, acc += 4) {
        const int32_t position = ost_panel_position(panel->p, first + r);
        for (int32_t m = channel; m < channel + 4 && m < channels; m++) {
            out[position * channels + m] = ost_finish(&panel->p->output, m, acc[m - channel]);
        }
    }
}

OST_PHASE_FUNCTION void ost_reuse_multiply_panel(ost_reuse_panel *panel, int32_t first, int8_t *out)
{
    const ost_reuse_horizontal_s8_params *p = panel->p;
    const int8_t *weights = p->weights;
    for (int32_t m = 0; m < p->window.output.channels; m += 4, weights += 4 * ost_window_columns(&p->window)) {
        for (int32_t r = 0; r < panel->rows; r++) {
            int32_t *acc = panel->acc + 4 * r;
            acc[0] = p->bias[m];
            acc[1] = p->bias[m + 1];
            acc[2] = p->bias[m + 2];
            acc[3] = p->bias[m + 3];
        }
        ost_reuse_add_clusters(panel, weights);
        add_singles(panel, weights);
        ost_reuse_finish_panel(panel, first, m, out);
    }
}
