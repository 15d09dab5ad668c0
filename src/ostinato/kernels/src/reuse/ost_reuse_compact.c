/* Image scope in little scratch: ids, centroids, products (ost_reuse_compact.h). */
#include "ost_reuse_compact.h"

#include "../support/ost_window.h"
#include "ost_reuse_divide.h"
#include "ost_reuse_fixed.h"
#include "ost_reuse_hash.h"

/* Slots of vectors at equal distances. */
OST_INLINE int32_t hash_vectors(ost_compact *layer, int32_t s, const int8_t *vectors, int32_t step, int32_t count,
                                uint8_t *ids)
{
    const int hashed = ost_compact_is_hashed(layer->p);
    const ost_hash_run run = {vectors, step, count, hashed ? (uint8_t *)layer->wide_ids : ids, hashed ? 2 : 1,
                              hashed ? 2 : 1, 0};
    ost_reuse_hash_run(&layer->p->hash, s, &run);
    return hashed ? ost_reuse_find_slots(&layer->map, layer->wide_ids, count, ids, 1) : 0;
}

/* Blocks in any order of rows. */
OST_INLINE int32_t hash_blocks(ost_compact *layer, int32_t s)
{
    const int32_t b = layer->p->block_rows;
    int32_t missing = 0;
    for (int32_t n = 0; n < layer->blocks; n += layer->run) {
        const int32_t left = layer->blocks - n, count = left < layer->run ? left : layer->run;
        ost_reuse_gather_rows(&layer->source, s, n * b, count * b, layer->vectors);
        missing += hash_vectors(layer, s, layer->vectors, layer->p->hash.words * 4, count, layer->ids + n);
    }
    return missing;
}

/* Rows that are output positions, by rows of outputs. */
OST_INLINE int32_t hash_positions(ost_compact *layer, int32_t s)
{
    const ost_shape *output = &layer->p->window.output;
    uint8_t *ids = layer->ids;
    int32_t missing = 0;
    for (int32_t oy = 0; oy < output->height; oy++) {
        for (int32_t ox = 0; ox < output->width; ox += layer->run) {
            const int32_t left = output->width - ox, count = left < layer->run ? left : layer->run;
            const ost_slice_run run = ost_reuse_source_run(&layer->source, s, oy, ox, count, layer->vectors);
            missing += hash_vectors(layer, s, run.vectors, run.step, count, ids);
            ids += count;
        }
    }
    return missing;
}

OST_PHASE_FUNCTION int32_t ost_compact_find_ids(ost_compact *layer, int32_t s)
{
    if (ost_compact_is_hashed(layer->p)) {
        ost_reuse_clear_slots(&layer->map);
    }
    const int by_rows = layer->p->block_rows == 1 && !layer->p->rows;
    const int32_t missing = by_rows ? hash_positions(layer, s) : hash_blocks(layer, s);
    for (int32_t slot = 0; slot <= layer->p->slots; slot++) {
        layer->members[slot] = 0;
    }
    for (int32_t n = 0; n < layer->blocks; n++) {
        layer->members[layer->ids[n]]++;
    }
    return missing;
}

/* Slice s of a row of X. */
OST_INLINE const int8_t *row_slice(const ost_compact *layer, int32_t s, int32_t row)
{
    const int8_t *corner = layer->source.fills ? NULL : ost_reuse_row_corner(&layer->source, row);
    return ost_reuse_row_slice(&layer->source, row, corner, s, layer->vectors);
}

/* Row r of all members of a cluster. */
OST_PHASE_FUNCTION static void ost_compact_sum_members(const ost_compact *layer, int32_t s, int32_t slot, int32_t r)
{
    const int32_t b = layer->p->block_rows;
    int32_t left = layer->members[slot];
    for (int32_t k = 0; k < layer->values; k++) {
        layer->sums[k] = 0;
    }
    for (int32_t n = 0; left > 0; n++) {
        if (layer->ids[n] == slot) {
            const int8_t *x = row_slice(layer, s, n * b + r);
            int32_t *sums = layer->sums;
            for (int32_t w = 0; w < layer->source.words; w++, x += 4, sums += 4) {
                sums[0] += x[0];
                sums[1] += x[1];
                sums[2] += x[2];
                sums[3] += x[3];
            }
            left--;
        }
    }
}

OST_PHASE_FUNCTION void ost_compact_centroids(const ost_compact *layer, const ost_compact_batch *clusters, int32_t r)
{
    const int32_t zero = layer->p->input_zero_point, count = clusters->count;
    for (int32_t c = 0; c < count; c++) {
        const int32_t members = layer->members[clusters->of[c]], origin = members * zero;
        const int32_t reciprocal = ost_reciprocal_of(members);
        int16_t *to = layer->centroids + 2 * c;
        ost_compact_sum_members(layer, clusters->s, clusters->of[c], r);
        /* A centroid alone overwrites its sums: its eight bytes of a word never overtake their sixteen. */
        for (int32_t k = 0; k < layer->values; k += 4, to += 4 * count) {
            const int32_t *sums = layer->sums + k;
            int32_t x[4];
            for (int32_t i = 0; i < 4; i++) {
                x[i] = ost_divide((sums[i] - origin) * 128, members, reciprocal);
            }
            ost_store_u32(to, ((uint32_t)x[0] & 0xffffu) | (uint32_t)x[2] << 16);
            ost_store_u32(to + 2 * count, ((uint32_t)x[1] & 0xffffu) | (uint32_t)x[3] << 16);
        }
    }
}

/* Table rows of the batch's centroids, of `channels` channels from `first` on. */
OST_INLINE void multiply(const ost_compact *layer, const ost_compact_batch *batch, int32_t first, int32_t channels)
{
    static const uint8_t places[OST_COMPACT_TOGETHER] = {0, 1, 2, 3};
    const ost_reuse_image_s8_params *p = layer->p;
    const int32_t all = ost_round_up(p->window.output.channels, 4), tile_values = batch->count * OST_REUSE_TILE;
    const ost_reuse_product product = {layer->centroids,
                                       batch->count,
                                       layer->source.words,
                                       places,
                                       p->weights + (batch->s * all + first) * layer->values,
                                       p->multiplier + first,
                                       channels,
                                       layer->added,
                                       tile_values};
    ost_reuse_gemm(&product);
    if (batch->s == 0) {
        ost_reuse_add_offset(layer->added, tile_values, places, batch->count, p->offset + first, channels);
    }
}

OST_INLINE int32_t channels_of_tile(const ost_compact *layer, int32_t first)
{
    const int32_t left = ost_round_up(layer->p->window.output.channels, 4) - first;
    return left < OST_REUSE_TILE ? left : OST_REUSE_TILE;
}

OST_INLINE void add_to(const ost_compact *layer, int32_t position, int32_t first, const int16_t *added, int32_t channels)
{
    ost_add_saturated(ost_compact_sums(layer, position) + 2 * first, added, channels);
}

/* Row r of the clusters' members: channels of a tile. */
OST_PHASE_FUNCTION static void ost_compact_add_members(const ost_compact *layer, const ost_compact_batch *clusters,
                                                       int32_t r, int32_t first, int32_t channels)
{
    const int32_t b = layer->p->block_rows;
    for (int32_t n = 0; n < layer->blocks; n++) {
        for (int32_t c = 0; c < clusters->count; c++) {
            if (layer->ids[n] == clusters->of[c]) {
                const int32_t position = ost_compact_position(layer, n * b + r);
                if (ost_compact_is_in_part(layer, position)) {
                    add_to(layer, position, first, layer->added + c * OST_REUSE_TILE, channels);
                }
                break;
            }
        }
    }
}

OST_PHASE_FUNCTION void ost_compact_add_clusters(const ost_compact *layer, const ost_compact_batch *clusters, int32_t r)
{
    for (int32_t first = 0; first < layer->p->window.output.channels; first += OST_REUSE_TILE) {
        const int32_t channels = channels_of_tile(layer, first);
        multiply(layer, clusters, first, channels);
        ost_compact_add_members(layer, clusters, r, first, channels);
    }
}

OST_PHASE_FUNCTION void ost_compact_add_rows(const ost_compact *layer, const ost_compact_batch *rows)
{
    for (int32_t n = 0; n < rows->count; n++) {
        const int8_t *x = row_slice(layer, rows->s, rows->of[n]);
        ost_reuse_row_centroid(x, layer->source.words, layer->p->input_zero_point, layer->centroids + 2 * n,
                               rows->count);
    }
    for (int32_t first = 0; first < layer->p->window.output.channels; first += OST_REUSE_TILE) {
        const int32_t channels = channels_of_tile(layer, first);
        multiply(layer, rows, first, channels);
        for (int32_t n = 0; n < rows->count; n++) {
            add_to(layer, ost_compact_position(layer, rows->of[n]), first, layer->added + n * OST_REUSE_TILE, channels);
        }
    }
}
