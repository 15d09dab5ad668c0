/* Reuse convolution in image scope, vertical direction, in little scratch: the bits of ost_reuse_image_s8.c.
 *
 * Accumulators are int16 where outputs are int8: those of half of the positions fit into the output tensor. When they
 * are finished, half as many fit behind them, and so on; with the scratch's R positions it takes P parts of N < R * 2^P.
 * Each part clusters all slices again, for clusters are those of all positions. */
#include "../support/ost_window.h"
#include "ost_reuse_compact.h"
#include "ost_reuse_finish.h"

OST_INLINE void *take(char *base, int32_t *used, int32_t bytes)
{
    char *part = base ? base + *used : NULL;
    *used += ost_round_up(bytes, 8);
    return part;
}

static ost_compact lay_out(const ost_reuse_image_compact_s8_params *c, void *base, const int8_t *x)
{
    const ost_reuse_image_s8_params *p = &c->layer;
    const int hashed = ost_compact_is_hashed(p);
    const int32_t places = hashed ? 1 << ost_reuse_slot_bits(p->slots) : 0, values = p->hash.words / p->block_rows * 4;
    const int32_t hashing = c->run * p->hash.words * 4, summing = ost_round_up(values, 8) + 4 * values;
    const ost_reuse_row_source source = {&p->window, &p->slices, values / 4, p->rows, x,
                                         ost_reuse_is_padded(&p->window), p->input_zero_point};
    ost_compact m;
    m.p = p;
    m.source = source;
    m.run = c->run;
    m.together = c->together;
    m.positions = p->window.output.height * p->window.output.width;
    m.blocks = m.positions / p->block_rows;
    m.values = values;
    m.row_bytes = ost_round_up(p->window.output.channels, 4) * (int32_t)sizeof(int16_t);
    m.bytes = 0;
    m.missing = (int32_t *)take(base, &m.bytes, (int32_t)sizeof(int32_t));
    m.vectors = (int8_t *)take(base, &m.bytes, hashing > summing ? hashing : summing);
    m.sums = base ? (int32_t *)(void *)(m.vectors + ost_round_up(values, 8)) : NULL;
    m.centroids = (int16_t *)take(base, &m.bytes, c->together > 1 ? c->together * values * 2 : 0);
    if (c->together == 1) {
        m.centroids = (int16_t *)(void *)m.sums;
    }
    m.added = (int16_t *)take(base, &m.bytes, c->together * OST_REUSE_TILE * 2);
    m.members = (uint16_t *)take(base, &m.bytes, (p->slots + 1) * 2);
    m.ids = (uint8_t *)take(base, &m.bytes, m.blocks);
    m.wide_ids = (uint16_t *)take(base, &m.bytes, hashed ? c->run * 2 : 0);
    m.map.keys = (uint16_t *)take(base, &m.bytes, places * 2);
    m.map.slots = (uint8_t *)take(base, &m.bytes, places);
    m.map.bits = hashed ? ost_reuse_slot_bits(p->slots) : 0;
    m.map.most = p->slots;
    m.map.used = 0;
    m.rest = (int8_t *)take(base, &m.bytes, p->rest * m.row_bytes);
    return m;
}

OST_INLINE int slots_are_valid(const ost_reuse_image_s8_params *p)
{
    return p->hash.hashes >= 1 && p->hash.hashes <= 16 && p->slots >= 1 &&
           p->slots <= (ost_compact_is_hashed(p) ? OST_REUSE_MOST_SLOTS : 1 << p->hash.hashes);
}

OST_INLINE int sizes_are_valid(const ost_reuse_image_compact_s8_params *c)
{
    const ost_reuse_image_s8_params *p = &c->layer;
    const int32_t positions = p->window.output.height * p->window.output.width;
    return p->block_rows >= 1 && p->hash.words >= 1 && p->hash.words % p->block_rows == 0 && p->slices.count >= 1 &&
           p->fraction_bits >= 1 && p->fraction_bits <= 7 && positions <= UINT16_MAX && positions >= p->block_rows &&
           c->run >= 1 && c->run <= OST_REUSE_RUN && c->together >= 1 && c->together <= OST_COMPACT_TOGETHER &&
           p->rest >= 1 && p->rest <= positions;
}

OST_INLINE int arguments_are_valid(const ost_reuse_image_compact_s8_params *c, const int8_t *in, const int8_t *out)
{
    return c && in && out && c->layer.weights && c->layer.multiplier && c->layer.offset && c->layer.hash.offsets &&
           c->layer.hash.vectors && c->layer.slices.starts && ost_window_is_valid(&c->layer.window) &&
           slots_are_valid(&c->layer) && sizes_are_valid(c);
}

/* The next `together` slots that have members, from *slot on. */
OST_INLINE void next_clusters(const ost_compact *layer, int32_t *slot, ost_compact_batch *batch)
{
    batch->count = 0;
    for (; *slot < layer->p->slots && batch->count < layer->together; ++*slot) {
        if (layer->members[*slot] > 0) {
            batch->of[batch->count++] = *slot;
        }
    }
}

/* Rows of blocks without a slot, and rows in no block. */
OST_INLINE void add_singles(const ost_compact *layer, int32_t s, int32_t missing)
{
    const int32_t b = layer->p->block_rows, blocked = layer->blocks * b;
    ost_compact_batch batch;
    batch.s = s;
    batch.count = 0;
    for (int32_t row = missing > 0 ? 0 : blocked; row < layer->positions; row++) {
        const int alone = row >= blocked || layer->ids[row / b] == layer->p->slots;
        if (alone && ost_compact_is_in_part(layer, ost_compact_position(layer, row))) {
            batch.of[batch.count++] = row;
        }
        if (batch.count == layer->together) {
            ost_compact_add_rows(layer, &batch);
            batch.count = 0;
        }
    }
    if (batch.count > 0) {
        ost_compact_add_rows(layer, &batch);
    }
}

OST_INLINE void add_slice(ost_compact *layer, int32_t s)
{
    const int32_t missing = ost_compact_find_ids(layer, s);
    ost_compact_batch batch;
    batch.s = s;
    for (int32_t slot = 0; slot < layer->p->slots;) {
        next_clusters(layer, &slot, &batch);
        for (int32_t r = 0; batch.count > 0 && r < layer->p->block_rows; r++) {
            ost_compact_centroids(layer, &batch, r);
            ost_compact_add_clusters(layer, &batch, r);
        }
    }
    add_singles(layer, s, missing);
    *layer->missing += layer->part.first == 0 ? missing : 0;
}

/* Accumulators of the part that begins at position `first`, all zero. */
OST_INLINE void begin_part(ost_compact *layer, int32_t first, int32_t rest, int8_t *out)
{
    const int32_t channels = layer->p->window.output.channels, left = layer->positions - first;
    const int32_t in_out = left * channels / layer->row_bytes;
    const int32_t count = left < in_out + rest ? left : in_out + rest;
    const ost_compact_part part = {first, first + count, in_out, out + first * channels};
    layer->part = part;
    ost_fill_bytes(part.out, 0, in_out * layer->row_bytes);
    ost_fill_bytes(layer->rest, 0, (count - in_out) * layer->row_bytes);
}

OST_PHASE_FUNCTION static void ost_compact_finish_part(const ost_compact *layer)
{
    const int32_t channels = layer->p->window.output.channels;
    int8_t *out = layer->part.out;
    for (int32_t n = layer->part.first; n < layer->part.end; n++, out += channels) {
        ost_reuse_finish_sums(ost_compact_sums(layer, n), channels, layer->p->fraction_bits, out);
    }
}

int32_t ost_reuse_image_compact_s8_scratch_bytes(const ost_reuse_image_compact_s8_params *params)
{
    return params->layer.block_rows < 1 ? 0 : lay_out(params, NULL, NULL).bytes;
}

ost_status ost_reuse_image_compact_s8(const ost_reuse_image_compact_s8_params *params, const ost_scratch *scratch,
                                      const int8_t *in, int8_t *out)
{
    if (!arguments_are_valid(params, in, out)) {
        return OST_BAD_ARGUMENT;
    }
    ost_compact layer = lay_out(params, scratch ? scratch->data : NULL, in);
    if (!scratch || !scratch->data || scratch->bytes < layer.bytes) {
        return OST_NO_SCRATCH;
    }
    *layer.missing = 0;
    for (int32_t first = 0; first < layer.positions; first = layer.part.end) {
        begin_part(&layer, first, params->layer.rest, out);
        for (int32_t s = 0; s < params->layer.slices.count; s++) {
            add_slice(&layer, s);
        }
        ost_compact_finish_part(&layer);
    }
    return OST_OK;
}
