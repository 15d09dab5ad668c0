/* Reuse convolution in image scope (TREC section 3.1, vertical direction), slice by slice: hash and sum the slice's
 * vectors, multiply the centroids that occur by the slice's weights into a table of requantised int16 rows, and add
 * for every output its row of each slice. There is no im2col matrix and no int32 output buffer. */
#include "ost_reuse.h"
#include "../support/ost_window.h"
#include "ost_reuse_clusters.h"
#include "ost_reuse_gemm.h"
#include "ost_reuse_hash.h"
#include "ost_reuse_recover.h"
#include "ost_reuse_slices.h"

/* The kernel's scratch, in this order; every part is aligned to 8 bytes. */
typedef struct {
    int8_t *padded;     /* the input with its padding, if it has any */
    int8_t *gather;     /* one run of gathered vectors, if any slice is gathered */
    uint8_t *map;       /* ids of every padded pixel and channel block, if all kernel positions share their hashes */
    uint8_t *ids;       /* N x slices_per_pass, and a byte that may be read behind them */
    int16_t *sums;      /* 2^H x words * 4 */
    int32_t *wide;      /* the same, if N > 256 */
    uint16_t *counts;   /* 2^H */
    uint8_t *occurring; /* 2^H */
    int16_t *centroids; /* of 4 clusters */
    int16_t *table;     /* slices_per_pass x tiles x 2^H x 16 */
    int16_t *rest;      /* accumulators that do not fit into the output, if there are several passes */
    int32_t bytes;
} image_scratch;

OST_INLINE void *take(char *base, int32_t *used, int32_t bytes)
{
    char *part = base ? base + *used : NULL;
    *used += ost_round_up(bytes, 8);
    return part;
}

/* Channel blocks of a pixel, if all kernel positions share their hashes. */
OST_INLINE int32_t blocks_of(const ost_reuse_image_s8_params *p)
{
    return p->window.input.channels / (p->hash.words * 4);
}

OST_INLINE int32_t padded_width(const ost_window *w)
{
    return w->input.width + 2 * w->padding.width;
}

OST_INLINE int32_t padded_pixels(const ost_window *w)
{
    return (w->input.height + 2 * w->padding.height) * padded_width(w);
}

OST_INLINE image_scratch lay_out(const ost_reuse_image_s8_params *p, void *base)
{
    const int32_t positions = p->window.output.height * p->window.output.width, channels = p->window.output.channels;
    const int32_t ids = 1 << p->hash.hashes, values = p->hash.words * 4, tiles = ost_reuse_tiles(channels);
    const int32_t rest = positions - ost_reuse_positions_in_out(positions, channels);
    const int one_pass = p->slices_per_pass >= p->slices.count;
    image_scratch s;
    s.bytes = 0;
    s.padded = (int8_t *)take(base, &s.bytes, ost_reuse_padded_bytes(&p->window));
    s.gather = (int8_t *)take(base, &s.bytes, ost_reuse_gather_bytes(&p->window, &p->slices, p->hash.words));
    s.map = (uint8_t *)take(base, &s.bytes, p->pixel_ids ? padded_pixels(&p->window) * blocks_of(p) : 0);
    s.ids = (uint8_t *)take(base, &s.bytes, positions * p->slices_per_pass + 1);
    s.sums = (int16_t *)take(base, &s.bytes, ids * values * 2);
    s.wide = (int32_t *)take(base, &s.bytes, positions > OST_REUSE_EXACT_ROWS ? ids * values * 4 : 0);
    s.counts = (uint16_t *)take(base, &s.bytes, ids * 2);
    s.occurring = (uint8_t *)take(base, &s.bytes, ids);
    s.centroids = (int16_t *)take(base, &s.bytes, 4 * values * 2);
    s.table = (int16_t *)take(base, &s.bytes, p->slices_per_pass * tiles * ids * OST_REUSE_TILE * 2);
    s.rest = (int16_t *)take(base, &s.bytes, one_pass ? 0 : rest * tiles * OST_REUSE_TILE * 2);
    return s;
}

/* The ids of every pixel; x is the padded input. */
OST_PHASE_FUNCTION static void ost_reuse_map_pixels(const ost_reuse_image_s8_params *p, const int8_t *x, uint8_t *map)
{
    const int32_t blocks = blocks_of(p), count = padded_pixels(&p->window);
    for (int32_t b = 0; b < blocks; b++) {
        const ost_hash_run run = {x + b * p->hash.words * 4, p->window.input.channels, count, map + b, blocks, 1, 0};
        ost_reuse_hash_run(&p->hash, b, &run);
    }
}

/* Ids of slice s at `count` output positions from (oy, ox), out of the map. */
OST_PHASE_FUNCTION static void ost_reuse_copy_ids(const ost_reuse_image_s8_params *p, const uint8_t *map, int32_t s,
                                                  int32_t oy, int32_t ox, int32_t count, uint8_t *ids, int32_t id_step)
{
    const ost_window *w = &p->window;
    const int32_t blocks = blocks_of(p), step = w->stride.width * blocks;
    /* A slice starts at a multiple of L in the padded input, which is its id's place in the map. */
    const uint8_t *from = map + p->slices.starts[s] / (p->hash.words * 4) +
                          (oy * w->stride.height * padded_width(w) + ox * w->stride.width) * blocks;
    for (int32_t n = 0; n < count; n++, from += step, ids += id_step) {
        *ids = *from;
    }
}

/* Ids and sums of slice s; slot is its place in this pass. */
OST_PHASE_FUNCTION static void ost_reuse_cluster_slice(const ost_reuse_image_s8_params *p, const image_scratch *m, ost_clusters *clusters,
                          const int8_t *x, int32_t s, int32_t slot)
{
    const ost_window *w = &p->window;
    const int32_t longest = ost_reuse_run_length(w), id_step = p->slices_per_pass;
    uint8_t *ids = m->ids + slot;
    ost_reuse_clear_clusters(clusters);
    for (int32_t oy = 0; oy < w->output.height; oy++) {
        for (int32_t ox = 0; ox < w->output.width; ox += longest) {
            const int32_t left = w->output.width - ox, count = left < longest ? left : longest;
            const ost_slice_run run =
                ost_reuse_slice_run(w, &p->slices, p->hash.words, s, x, oy, ox, count, m->gather);
            const ost_hash_run hashed = {run.vectors, run.step, count, ids, id_step, 1, 0};
            if (p->pixel_ids) {
                ost_reuse_copy_ids(p, m->map, s, oy, ox, count, ids, id_step);
            } else {
                ost_reuse_hash_run(&p->hash, s, &hashed);
            }
            ost_reuse_sum_clusters(clusters, run.vectors, run.step, count, ids, id_step);
            ids += count * id_step;
        }
    }
}

/* The table of slice s: four of the centroids that occur at a time. */
OST_PHASE_FUNCTION static void ost_reuse_fill_table(const ost_reuse_image_s8_params *p, const image_scratch *m, ost_clusters *clusters, int32_t s,
                       int16_t *table)
{
    const int32_t channels = ost_round_up(p->window.output.channels, 4);
    const int32_t tile_values = clusters->ids * OST_REUSE_TILE;
    const int32_t occurring = ost_reuse_list_clusters(clusters, m->occurring);
    for (int32_t c = 0; c < occurring; c += 4) {
        const int32_t count = occurring - c < 4 ? occurring - c : 4;
        const ost_reuse_product product = {m->centroids,
                                           count,
                                           p->hash.words,
                                           m->occurring + c,
                                           p->weights + s * channels * p->hash.words * 4,
                                           p->multiplier,
                                           channels,
                                           table,
                                           tile_values};
        ost_reuse_centroids(clusters, m->occurring + c, count, p->input_zero_point, m->centroids);
        ost_reuse_gemm(&product);
    }
    if (s == 0) {
        ost_reuse_add_offset(table, tile_values, m->occurring, occurring, p->offset, channels);
    }
}

/* Every slice is a channel block of a pixel. */
OST_INLINE int slices_are_blocks(const ost_reuse_image_s8_params *p)
{
    const int32_t length = p->hash.words * 4;
    for (int32_t s = 0; s < p->slices.count; s++) {
        if (p->slices.starts[s] < 0 || p->slices.starts[s] % length != 0) {
            return 0;
        }
    }
    return p->window.input.channels % length == 0;
}

OST_INLINE int arguments_are_valid(const ost_reuse_image_s8_params *p, const int8_t *in, const int8_t *out)
{
    return p && in && out && p->weights && p->multiplier && p->offset && p->hash.offsets && p->hash.vectors &&
           p->slices.starts && ost_window_is_valid(&p->window) && p->hash.hashes >= 1 && p->hash.hashes <= 8 &&
           p->hash.words >= 1 && p->slices.count >= 1 && p->slices_per_pass >= 1 &&
           p->slices_per_pass <= p->slices.count && p->fraction_bits >= 1 && p->fraction_bits <= 7 &&
           p->window.output.height * p->window.output.width <= UINT16_MAX &&
           (!p->pixel_ids || slices_are_blocks(p));
}

int32_t ost_reuse_image_s8_scratch_bytes(const ost_reuse_image_s8_params *params)
{
    return lay_out(params, NULL).bytes;
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
    const int32_t channels = p->window.output.channels;
    ost_clusters clusters = {1 << p->hash.hashes, p->hash.words, m.sums,
                             positions > OST_REUSE_EXACT_ROWS ? m.wide : NULL, m.counts, 0};
    const int32_t tile_values = clusters.ids * OST_REUSE_TILE;
    ost_reuse_recovery pass = {positions,   channels, 0, m.ids, p->slices_per_pass, m.table, tile_values,
                               p->fraction_bits, out};
    const int8_t *x = in;
    if (ost_reuse_is_padded(&p->window)) {
        ost_reuse_pad_input(&p->window, p->input_zero_point, in, m.padded);
        x = m.padded;
    }
    if (p->pixel_ids) {
        ost_reuse_map_pixels(p, x, m.map);
    }
    for (int32_t first = 0; first < p->slices.count; first += p->slices_per_pass) {
        const int32_t left = p->slices.count - first;
        pass.slices = left < p->slices_per_pass ? left : p->slices_per_pass;
        for (int32_t slot = 0; slot < pass.slices; slot++) {
            ost_reuse_cluster_slice(p, &m, &clusters, x, first + slot, slot);
            ost_reuse_fill_table(p, &m, &clusters, first + slot, m.table + slot * ost_reuse_tiles(channels) * tile_values);
        }
        if (p->slices_per_pass < p->slices.count) {
            ost_reuse_accumulate(&pass, first == 0, m.rest);
        } else {
            ost_reuse_recover(&pass);
        }
    }
    if (p->slices_per_pass < p->slices.count) {
        ost_reuse_finish(&pass, m.rest);
    }
    return OST_OK;
}
