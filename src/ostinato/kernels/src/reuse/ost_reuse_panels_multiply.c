/* Horizontal reuse: the outputs of a panel, four channels at a time (ost_reuse_panels.h). */
#include "../support/ost_requantize.h"
#include "../support/ost_window.h"
#include "ost_reuse_panels.h"

/* Two columns of four channels, from the sums of their weights: ceil(L / 2) x 4 x 2. */
OST_PHASE_FUNCTION static void ost_reuse_sum_weights(const int8_t *weights, const uint16_t *order, int32_t members,
                                                     int32_t length, int16_t *summed)
{
    for (int32_t i = 0; i < length; i++) {
        int16_t *to = summed + i / 2 * 8 + i % 2;
#if OST_HAS_DSP
        uint32_t even = 0, odd = 0; /* channels 0 and 2, 1 and 3 */
        for (int32_t n = 0; n < members; n++) {
            const uint32_t four = ost_load_u32(weights + (order[n] + i) * 4);
            even = ost_sxtab16(even, four);
            odd = ost_sxtab16_ror8(odd, four);
        }
        to[0] = (int16_t)even;
        to[2] = (int16_t)odd;
        to[4] = (int16_t)(even >> 16);
        to[6] = (int16_t)(odd >> 16);
#else
        for (int32_t m = 0; m < 4; m++) {
            int32_t sum = 0;
            for (int32_t n = 0; n < members; n++) {
                sum += weights[(order[n] + i) * 4 + m];
            }
            to[2 * m] = (int16_t)sum;
        }
#endif
    }
    if (length % 2 != 0) {
        int16_t *to = summed + length / 2 * 8 + 1;
        to[0] = to[2] = to[4] = to[6] = 0;
    }
}

/* acc (rows x 4) += values (pairs x rows x 2) x summed (pairs x 4 x 2). */
OST_PHASE_FUNCTION static void ost_reuse_add_products(const int16_t *values, const int16_t *summed, int32_t pairs,
                                                      int32_t rows, int32_t *acc)
{
    for (int32_t pair = 0; pair < pairs; pair++, summed += 8) {
#if OST_HAS_DSP
        const uint32_t a = ost_load_u32(summed), b = ost_load_u32(summed + 2);
        const uint32_t c = ost_load_u32(summed + 4), d = ost_load_u32(summed + 6);
        int32_t *to = acc;
        for (int32_t r = 0; r < rows; r++, to += 4, values += 2) {
            const uint32_t x = ost_load_u32(values);
            to[0] = ost_smlad(x, a, to[0]);
            to[1] = ost_smlad(x, b, to[1]);
            to[2] = ost_smlad(x, c, to[2]);
            to[3] = ost_smlad(x, d, to[3]);
        }
#else
        for (int32_t r = 0; r < rows; r++, values += 2) {
            for (int32_t m = 0; m < 4; m++) {
                acc[4 * r + m] += values[0] * summed[2 * m] + values[1] * summed[2 * m + 1];
            }
        }
#endif
    }
}

/* The clusters' centroids times the sums of their weights; `weights` are of these four channels. */
OST_INLINE const uint16_t *add_clusters(const ost_reuse_panel *panel, const int8_t *weights)
{
    const ost_reuse_horizontal_s8_params *p = panel->p;
    const uint16_t *order = panel->order;
    const int16_t *centroids = panel->centroids;
    for (int32_t slot = 0; slot < p->slots; slot++, centroids += ost_panel_values(p, p->length)) {
        for (int32_t left = panel->clusters.counts[slot]; left > 0;) {
            const int32_t members = left < OST_REUSE_MOST_SUMMED ? left : OST_REUSE_MOST_SUMMED;
            ost_reuse_sum_weights(weights, order, members, p->length, panel->summed);
            ost_reuse_add_products(centroids, panel->summed, (p->length + 1) / 2, p->panel_rows, panel->acc);
            order += members;
            left -= members;
        }
    }
    return order;
}

/* `length` columns from `column` on, as they are. */
OST_INLINE void add_columns(const ost_reuse_panel *panel, const int8_t *weights, int32_t column, int32_t length)
{
    const uint16_t first = (uint16_t)column;
    ost_reuse_panel_values(panel, column, length, panel->alone);
    ost_reuse_sum_weights(weights, &first, 1, length, panel->summed);
    ost_reuse_add_products(panel->alone, panel->summed, (length + 1) / 2, panel->p->panel_rows, panel->acc);
}

OST_PHASE_FUNCTION static void ost_reuse_finish_panel(const ost_reuse_panel *panel, int32_t first, int32_t channel,
                                                      int8_t *out)
{
    const ost_window *w = &panel->p->window;
    const int32_t positions = w->output.height * w->output.width, channels = w->output.channels;
    const int32_t *acc = panel->acc;
    for (int32_t r = 0; r < panel->p->panel_rows && first + r < positions; r++, acc += 4) {
        const int32_t position = panel->p->rows ? panel->p->rows[first + r] : first + r;
        for (int32_t m = channel; m < channel + 4 && m < channels; m++) {
            out[position * channels + m] = ost_finish(&panel->p->output, m, acc[m - channel]);
        }
    }
}

OST_PHASE_FUNCTION void ost_reuse_multiply_panel(ost_reuse_panel *panel, int32_t first, int8_t *out)
{
    const ost_reuse_horizontal_s8_params *p = panel->p;
    const int32_t columns = ost_window_columns(&p->window), used = panel->units * p->length;
    const int32_t alone = ost_panel_is_hashed(p) ? panel->clusters.counts[p->slots] : 0;
    const int8_t *weights = p->weights;
    for (int32_t m = 0; m < p->window.output.channels; m += 4, weights += 4 * columns) {
        for (int32_t r = 0; r < p->panel_rows; r++) {
            int32_t *acc = panel->acc + 4 * r;
            acc[0] = p->bias[m];
            acc[1] = p->bias[m + 1];
            acc[2] = p->bias[m + 2];
            acc[3] = p->bias[m + 3];
        }
        const uint16_t *rest = add_clusters(panel, weights);
        for (int32_t n = 0; n < alone; n++) {
            add_columns(panel, weights, rest[n], p->length);
        }
        if (used < columns) {
            add_columns(panel, weights, used, columns - used);
        }
        ost_reuse_finish_panel(panel, first, m, out);
    }
}
