/* Reuse convolution in image scope (TREC section 3.1, vertical direction), slice by slice: hash and sum the slice's
 * blocks, multiply the centroids that occur by the slice's weights into a table of requantised int16 rows, and add
 * for every output its row of each slice. There is no im2col matrix and no int32 output buffer. Where tables of all
 * channels are too large, centroids are kept, and groups of tiles of 16 channels are multiplied and added in turn. */
#include "../support/ost_window.h"
#include "ost_reuse_border.h"
#include "ost_reuse_gemm.h"
#include "ost_reuse_hash.h"
#include "ost_reuse_image_scratch.h"
#include "ost_reuse_pixel_ids.h"
#include "ost_reuse_single.h"

/* What a call works with. */
typedef struct {
    const ost_reuse_image_s8_params *p;
    image_scratch m;
    ost_clusters clusters;
    ost_slot_map map;
    ost_reuse_single single;
} image_layer;

/* Rows of vectors, the first at (oy, ox): ids to `ids` (or, for slots, to the wide ids first), then to the sums. */
OST_INLINE void cluster_rows(image_layer *layer, int32_t s, const ost_vector_rows *rows, int32_t oy, int32_t ox,
                             uint8_t *ids)
{
    const ost_reuse_image_s8_params *p = layer->p;
    const int hashed = is_hashed(p);
    const int32_t id_step = hashed ? 2 : p->slices_per_pass;
    uint8_t *to = hashed ? (uint8_t *)layer->m.wide_ids : ids;
    if (p->pixel_ids) {
        for (int32_t r = 0; r < rows->rows; r++) {
            ost_reuse_copy_ids(p, layer->m.map, s, oy + r, ox, rows->count, to + r * rows->count * id_step, id_step);
        }
    } else {
        const ost_hash_run run = {rows->vectors, rows->step, rows->count, to, id_step, hashed ? 2 : 1, 0};
        const ost_hash_rows all = {rows->rows, rows->pitch, rows->count * id_step};
        ost_reuse_hash_rows(&p->hash, s, &run, &all);
    }
    if (hashed) {
        *layer->m.missing += ost_reuse_find_slots(&layer->map, layer->m.wide_ids, rows->count * rows->rows, ids,
                                                  p->slices_per_pass);
    }
    ost_reuse_sum_clusters(&layer->clusters, rows, ids, p->slices_per_pass);
}

/* Blocks of several rows of X, a few at a time. */
OST_INLINE void cluster_blocks(image_layer *layer, int32_t s, uint8_t *ids)
{
    const ost_reuse_image_s8_params *p = layer->p;
    const int32_t b = p->block_rows, blocks = p->window.output.height * p->window.output.width / b;
    ost_vector_rows rows = {layer->m.gather, p->hash.words * 4, OST_REUSE_BLOCKS, 1, 0};
    for (int32_t n = 0; n < blocks; n += rows.count) {
        rows.count = blocks - n < OST_REUSE_BLOCKS ? blocks - n : OST_REUSE_BLOCKS;
        ost_reuse_gather_rows(&layer->single.source, s, n * b, rows.count * b, layer->m.gather);
        cluster_rows(layer, s, &rows, 0, 0, ids + n * p->slices_per_pass);
    }
}

/* Single rows of X: several rows of outputs together where the slice is read in place. */
OST_INLINE void cluster_positions(image_layer *layer, int32_t s, uint8_t *ids)
{
    const ost_reuse_image_s8_params *p = layer->p;
    const ost_window *w = &p->window;
    const int32_t longest = ost_reuse_run_length(w);
    const int32_t together = p->slices.starts[s] < 0 || fills_padding(p) ? 1 : rows_together(p);
    ost_vector_rows rows = {NULL, 0, 0, 0, w->stride.height * padded_width(w) * w->input.channels};
    for (int32_t oy = 0; oy < w->output.height; oy += rows.rows) {
        rows.rows = w->output.height - oy < together ? w->output.height - oy : together;
        for (int32_t ox = 0; ox < w->output.width; ox += longest) {
            const int32_t left = w->output.width - ox;
            rows.count = left < longest ? left : longest;
            const ost_slice_run run = ost_reuse_source_run(&layer->single.source, s, oy, ox, rows.count,
                                                           layer->m.gather);
            rows.vectors = run.vectors;
            rows.step = run.step;
            cluster_rows(layer, s, &rows, oy, ox, ids);
            ids += rows.count * rows.rows * p->slices_per_pass;
        }
    }
}

/* Ids and sums of slice s; slot is its place in this pass. */
OST_PHASE_FUNCTION static void ost_reuse_cluster_slice(image_layer *layer, int32_t s, int32_t slot)
{
    ost_reuse_clear_clusters(&layer->clusters);
    if (is_hashed(layer->p)) {
        ost_reuse_clear_slots(&layer->map);
    }
    if (layer->p->block_rows > 1) {
        cluster_blocks(layer, s, layer->m.ids + slot);
    } else {
        cluster_positions(layer, s, layer->m.ids + slot);
    }
    if (is_hashed(layer->p)) {
        layer->clusters.counts[layer->p->slots] = 0; /* what found no slot is no cluster */
    }
    if (layer->clusters.high) {
        ost_reuse_flush_sums(&layer->clusters);
    }
}

/* The place of a slice in the sums and among the lists of clusters. */
OST_INLINE int32_t area_of(const image_layer *layer, int32_t slot)
{
    return keeps_centroids(layer->p) ? slot : 0;
}

OST_INLINE int32_t area_values(const image_layer *layer)
{
    return layer->clusters.ids * layer->clusters.words * 4;
}

/* Centroids of a slice, four clusters after four, where its sums were: the n-th cluster that occurs has an id of n at
 * least, so that nothing is overwritten that is still to be read. */
OST_PHASE_FUNCTION static void ost_reuse_keep_centroids(image_layer *layer, int32_t slot)
{
    const image_scratch *m = &layer->m;
    const uint8_t *occurring = m->occurring + slot * layer->clusters.ids;
    const int32_t values = layer->clusters.words * 4, found = m->found[slot];
    int16_t *kept = m->sums + slot * area_values(layer);
    for (int32_t c = 0; c < found; c += 4) {
        const int32_t count = found - c < 4 ? found - c : 4;
        ost_reuse_centroids(&layer->clusters, occurring + c, count, layer->p->input_zero_point, m->centroids);
        ost_copy_eights((int8_t *)(kept + c * values), (const int8_t *)m->centroids, count * values * 2);
    }
}

/* The table of slice s for a group of tiles: four of the centroids that occur at a time. */
OST_PHASE_FUNCTION static void ost_reuse_fill_table(image_layer *layer, int32_t s, int32_t slot, int32_t tile)
{
    const ost_reuse_image_s8_params *p = layer->p;
    const image_scratch *m = &layer->m;
    const int32_t all = ost_round_up(p->window.output.channels, 4), words = layer->single.source.words;
    const int32_t first = tile * OST_REUSE_TILE, held = p->tiles_per_group * OST_REUSE_TILE;
    const int32_t channels = all - first < held ? all - first : held;
    const int32_t tile_values = p->slots * OST_REUSE_TILE, table_values = p->tiles_per_group * tile_values;
    const int32_t area = area_of(layer, slot), found = m->found[area], values = layer->clusters.words * 4;
    const uint8_t *occurring = m->occurring + area * layer->clusters.ids;
    int16_t *table = m->table + slot * p->block_rows * table_values;
    for (int32_t c = 0; c < found; c += 4) {
        const int32_t count = found - c < 4 ? found - c : 4;
        const int16_t *centroids = m->centroids;
        if (keeps_centroids(p)) {
            centroids = m->sums + area * area_values(layer) + c * values;
        } else {
            ost_reuse_centroids(&layer->clusters, occurring + c, count, p->input_zero_point, m->centroids);
        }
        ost_reuse_product product = {centroids,
                                     count,
                                     words,
                                     occurring + c,
                                     p->weights + (s * all + first) * words * 4,
                                     p->multiplier + first,
                                     channels,
                                     table,
                                     tile_values};
        for (int32_t r = 0; r < p->block_rows; r++) {
            ost_reuse_gemm(&product);
            product.centroids += words * 4 * count;
            product.table += table_values;
        }
    }
    for (int32_t r = 0; s == 0 && r < p->block_rows; r++) {
        ost_reuse_add_offset(table + r * table_values, tile_values, occurring, found, p->offset + first, channels);
    }
}

/* Ids and clusters of the slices of a pass; their centroids, if they are kept, or else their tables. */
OST_INLINE void cluster_pass(image_layer *layer, int32_t first, int32_t slices)
{
    const image_scratch *m = &layer->m;
    for (int32_t slot = 0; slot < slices; slot++) {
        const int32_t area = area_of(layer, slot);
        layer->clusters.sums = m->sums + area * area_values(layer);
        ost_reuse_cluster_slice(layer, first + slot, slot);
        m->found[area] = (uint16_t)ost_reuse_list_clusters(&layer->clusters, m->occurring + area * layer->clusters.ids);
        if (keeps_centroids(layer->p)) {
            ost_reuse_keep_centroids(layer, slot);
        } else {
            ost_reuse_fill_table(layer, first + slot, slot, 0);
        }
    }
}

/* Outputs, or accumulators, of all channels: group after group of tiles. */
OST_INLINE void recover_pass(image_layer *layer, ost_reuse_recovery *pass, int32_t first)
{
    const int32_t tiles = ost_reuse_tiles(pass->channels), held = layer->p->tiles_per_group;
    for (pass->tile = 0; pass->tile < tiles; pass->tile += held) {
        pass->tiles = tiles - pass->tile < held ? tiles - pass->tile : held;
        for (int32_t slot = 0; keeps_centroids(layer->p) && slot < pass->slices; slot++) {
            ost_reuse_fill_table(layer, first + slot, slot, pass->tile);
        }
        ost_reuse_recover(pass);
        ost_reuse_recover_singles(&layer->single, pass, first);
    }
}

OST_INLINE int slots_are_valid(const ost_reuse_image_s8_params *p)
{
    return p->hash.hashes >= 1 && p->hash.hashes <= 16 && p->slots >= 1 &&
           p->slots <= (is_hashed(p) ? OST_REUSE_MOST_SLOTS : 1 << p->hash.hashes);
}

OST_INLINE int arguments_are_valid(const ost_reuse_image_s8_params *p, const int8_t *in, const int8_t *out)
{
    return p && in && out && p->weights && p->multiplier && p->offset && p->hash.offsets && p->hash.vectors &&
           p->slices.starts && ost_window_is_valid(&p->window) && slots_are_valid(p) && p->block_rows >= 1 &&
           p->hash.words >= 1 && p->hash.words % p->block_rows == 0 && p->slices.count >= 1 &&
           p->slices_per_pass >= 1 && p->slices_per_pass <= p->slices.count && p->tiles_per_group >= 1 &&
           p->tiles_per_group <= ost_reuse_tiles(p->window.output.channels) && p->fraction_bits >= 1 &&
           p->fraction_bits <= 7 && p->window.output.height * p->window.output.width <= UINT16_MAX &&
           p->window.output.height * p->window.output.width >= p->block_rows &&
           (!p->pixel_ids || ost_reuse_slices_are_blocks(p)) &&
           (p->slices_per_pass == p->slices.count || p->rest >= 1);
}

int32_t ost_reuse_image_s8_scratch_bytes(const ost_reuse_image_s8_params *params)
{
    return params->block_rows < 1 ? 0 : lay_out(params, NULL).bytes;
}

OST_INLINE image_layer set_up(const ost_reuse_image_s8_params *p, const image_scratch *m, const int8_t *x)
{
    const int32_t blocks = p->window.output.height * p->window.output.width / p->block_rows;
    const int hashed = is_hashed(p);
    const ost_reuse_row_source source = {&p->window, &p->slices, p->hash.words / p->block_rows, p->rows, x,
                                         fills_padding(p), p->input_zero_point};
    image_layer layer = {
        p,
        *m,
        {clusters_of(p), p->hash.words, m->sums, blocks > OST_REUSE_EXACT_ROWS ? m->high : NULL, m->counts, 0},
        {m->keys, m->slots, hashed ? ost_reuse_slot_bits(p->slots) : 0, p->slots, 0},
        {p, source, m->vector, m->centroids, m->added, m->alone}};
    return layer;
}

/* The part that begins at position `begin`: its accumulators are in the output, from there on, and in the scratch. */
OST_INLINE void begin_part(const image_layer *layer, ost_reuse_recovery *pass, int32_t begin, int8_t *out)
{
    const int32_t left = pass->positions - begin;
    pass->begin = begin;
    pass->out = out + begin * pass->channels;
    pass->in_out = pass->several ? begin + ost_reuse_positions_in_out(left, pass->channels) : pass->positions;
    pass->end = pass->several && pass->in_out + layer->p->rest < pass->positions ? pass->in_out + layer->p->rest
                                                                                 : pass->positions;
}

/* Outputs of a part. */
OST_INLINE void all_passes(image_layer *layer, ost_reuse_recovery *pass)
{
    const ost_reuse_image_s8_params *p = layer->p;
    for (int32_t first = 0; first < p->slices.count; first += p->slices_per_pass) {
        const int32_t left = p->slices.count - first, missing = *layer->m.missing;
        pass->slices = left < p->slices_per_pass ? left : p->slices_per_pass;
        pass->first = first == 0;
        cluster_pass(layer, first, pass->slices);
        pass->missing = *layer->m.missing - missing;
        recover_pass(layer, pass, first);
    }
    if (pass->several) {
        ost_reuse_finish(pass);
    }
}

ost_status ost_reuse_image_s8(const ost_reuse_image_s8_params *params, const ost_scratch *scratch, const int8_t *in,
                              int8_t *out)
{
    const ost_reuse_image_s8_params *p = params;
    if (!arguments_are_valid(p, in, out)) {
        return OST_BAD_ARGUMENT;
    }
    const image_scratch m = lay_out(p, scratch ? scratch->data : NULL);
    if (!scratch || !scratch->data || scratch->bytes < m.bytes) {
        return OST_NO_SCRATCH;
    }
    const int32_t positions = p->window.output.height * p->window.output.width;
    const int32_t channels = p->window.output.channels, tile_values = p->slots * OST_REUSE_TILE;
    ost_reuse_recovery pass = {positions, channels, p->block_rows, p->rows, 0, p->slices_per_pass < p->slices.count,
                               1, m.ids, p->slices_per_pass, p->slots, 0, 0, 0, p->tiles_per_group, m.table, tile_values,
                               p->fraction_bits, out, m.rest, 0, 0, 0};
    const int8_t *x = in;
    if (ost_reuse_is_padded(&p->window) && p->padded) {
        ost_reuse_pad_input(&p->window, p->input_zero_point, in, m.padded);
        x = m.padded;
    }
    image_layer layer = set_up(p, &m, x);
    if (p->pixel_ids) {
        ost_reuse_map_pixels(p, x, m.gather, m.map);
    }
    while (pass.end < positions) {
        begin_part(&layer, &pass, pass.end, out);
        *m.missing = 0; /* it is the same in every part */
        all_passes(&layer, &pass);
    }
    return OST_OK;
}
