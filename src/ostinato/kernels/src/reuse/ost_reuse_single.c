/* Rows of X that are clusters by themselves (ost_reuse_single.h). */
#include "ost_reuse_single.h"

#include "../support/ost_window.h"
#include "ost_reuse_fixed.h"

/* Rows that are recovered together. */
typedef struct {
    int32_t count;
    int32_t row[OST_REUSE_TOGETHER];
    int32_t r[OST_REUSE_TOGETHER];          /* which row of its block it is */
    const uint8_t *ids[OST_REUSE_TOGETHER]; /* of its block; NULL: it is in none */
    const int8_t *corner[OST_REUSE_TOGETHER]; /* NULL: padding is filled in */
    int8_t *sums[OST_REUSE_TOGETHER]; /* 16 int16 for each tile of the group */
} row_batch;

/* 16 channels of every tile: sums += row, saturated. */
OST_INLINE void add_row(int8_t *sums, const int16_t *row, int32_t tile_values, int32_t tiles)
{
    for (int32_t tile = 0; tile < tiles; tile++, row += tile_values, sums += 2 * OST_REUSE_TILE) {
        ost_add_saturated(sums, row, OST_REUSE_TILE);
    }
}

/* Slice s of the batch's rows `which`, whose centroids are their vectors: product rows to `added`, and to their sums. */
OST_PHASE_FUNCTION static void ost_reuse_single_products(const ost_reuse_single *single, const ost_reuse_recovery *pass,
                                                         int32_t s, const row_batch *batch, const uint8_t *which,
                                                         int32_t count)
{
    static const uint8_t places[OST_REUSE_SINGLES] = {0, 1, 2, 3};
    const ost_reuse_image_s8_params *p = single->params;
    const int32_t words = single->source.words, all = ost_round_up(p->window.output.channels, 4);
    const int32_t first = pass->tile * OST_REUSE_TILE, held = pass->tiles * OST_REUSE_TILE;
    const int32_t channels = all - first < held ? all - first : held, tile_values = OST_REUSE_SINGLES * OST_REUSE_TILE;
    const ost_reuse_product product = {single->centroids,
                                       count,
                                       words,
                                       places,
                                       p->weights + (s * all + first) * words * 4,
                                       p->multiplier + first,
                                       channels,
                                       single->added,
                                       tile_values};
    for (int32_t n = 0; n < count; n++) {
        const int8_t *x = ost_reuse_row_slice(&single->source, batch->row[which[n]], batch->corner[which[n]], s,
                                              single->vector);
        ost_reuse_row_centroid(x, words, p->input_zero_point, single->centroids + 2 * n, count);
    }
    ost_reuse_gemm(&product);
    if (s == 0) {
        ost_reuse_add_offset(single->added, tile_values, places, count, p->offset + first, channels);
    }
    for (int32_t n = 0; n < count; n++) {
        add_row(batch->sums[which[n]], single->added + n * OST_REUSE_TILE, tile_values, pass->tiles);
    }
}

/* One slice of all rows of the batch: rows of the table, or products of their own. */
OST_INLINE void add_slice(const ost_reuse_single *single, const ost_reuse_recovery *pass, int32_t first, int32_t slot,
                          const row_batch *batch)
{
    uint8_t which[OST_REUSE_SINGLES];
    int32_t count = 0;
    for (int32_t k = 0; k < batch->count; k++) {
        const uint8_t *ids = batch->ids[k];
        if (!ids || ids[slot] == pass->no_slot) {
            which[count++] = (uint8_t)k;
        } else {
            const int32_t table = (slot * pass->block_rows + batch->r[k]) * pass->held * pass->tile_values;
            add_row(batch->sums[k], pass->table + table + ids[slot] * OST_REUSE_TILE, pass->tile_values, pass->tiles);
        }
        if (count == OST_REUSE_SINGLES || (count > 0 && k == batch->count - 1)) {
            ost_reuse_single_products(single, pass, first + slot, batch, which, count);
            count = 0;
        }
    }
}

/* All slices of the pass, for the channels of the group. */
OST_PHASE_FUNCTION static void ost_reuse_recover_batch(const ost_reuse_single *single, const ost_reuse_recovery *pass,
                                                       int32_t first, row_batch *batch)
{
    const int32_t bytes = pass->tiles * OST_REUSE_TILE * (int32_t)sizeof(int16_t);
    const int32_t left = pass->channels - pass->tile * OST_REUSE_TILE, held = pass->tiles * OST_REUSE_TILE;
    for (int32_t k = 0; k < batch->count; k++) {
        batch->corner[k] = single->source.fills ? NULL : ost_reuse_row_corner(&single->source, batch->row[k]);
        batch->sums[k] = pass->several ? (int8_t *)ost_reuse_place(pass, batch->row[k])
                                       : (int8_t *)single->sums + k * bytes;
        if (pass->first) {
            ost_fill_bytes(batch->sums[k], 0, bytes);
        }
    }
    for (int32_t slot = 0; slot < pass->slices; slot++) {
        add_slice(single, pass, first, slot, batch);
    }
    for (int32_t k = 0; !pass->several && k < batch->count; k++) {
        ost_reuse_finish_row(batch->sums[k], left < held ? left : held, pass->fraction_bits,
                             (int8_t *)ost_reuse_place(pass, batch->row[k]));
    }
    batch->count = 0;
}

OST_INLINE void add_to_batch(row_batch *batch, int32_t row, int32_t r, const uint8_t *ids)
{
    batch->row[batch->count] = row;
    batch->r[batch->count] = r;
    batch->ids[batch->count++] = ids;
}

OST_PHASE_FUNCTION void ost_reuse_recover_singles(const ost_reuse_single *single, const ost_reuse_recovery *pass,
                                                  int32_t first)
{
    const int32_t b = pass->block_rows, blocks = ost_reuse_blocks(pass);
    const int some = pass->begin > 0 || pass->end < pass->positions;
    row_batch batch;
    batch.count = 0;
    for (int32_t row = pass->missing > 0 ? 0 : blocks * b; row < pass->positions; row++) {
        const int32_t block = row / b;
        if (some && !ost_reuse_is_in_part(pass, ost_reuse_position(pass, row))) {
            continue;
        }
        if (block >= blocks) {
            add_to_batch(&batch, row, 0, NULL);
        } else if (ost_reuse_is_alone(pass, block)) {
            add_to_batch(&batch, row, row - block * b, pass->ids + block * pass->id_step);
        }
        if (batch.count == OST_REUSE_TOGETHER) {
            ost_reuse_recover_batch(single, pass, first, &batch);
        }
    }
    if (batch.count > 0) {
        ost_reuse_recover_batch(single, pass, first, &batch);
    }
}
