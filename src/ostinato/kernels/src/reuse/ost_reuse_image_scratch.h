/* The scratch of ost_reuse_image_s8, and the sizes that it follows from; kernels/reuse_image.py has the same sum. */
#ifndef OST_REUSE_IMAGE_SCRATCH_H
#define OST_REUSE_IMAGE_SCRATCH_H

#include "ost_reuse.h"
#include "../support/ost_window.h"
#include "ost_reuse_clusters.h"
#include "ost_reuse_recover.h"
#include "ost_reuse_rows.h"
#include "ost_reuse_single.h"
#include "ost_reuse_slices.h"
#include "ost_reuse_slots.h"

/* The kernel's scratch, in this order; every part is aligned to 8 bytes. */
typedef struct {
    int32_t *missing;   /* how many blocks found no slot, in all slices */
    int8_t *padded;     /* the input with its padding, if it has any and is copied */
    int8_t *gather;     /* one run of gathered vectors, if any slice is gathered or padding is filled in, or of blocks of
                         * several rows */
    uint8_t *map;       /* ids of every padded pixel and channel block, if all kernel positions share their hashes */
    uint16_t *wide_ids; /* of one run, if ids are not slots themselves */
    uint16_t *keys;     /* of the slots' places, likewise */
    uint8_t *slots;     /* likewise */
    uint8_t *ids;       /* blocks x slices_per_pass, and a byte that may be read behind them */
    int16_t *sums;      /* areas x clusters x words * 4; an area for each slice of a pass, if centroids are kept there */
    int16_t *high;      /* clusters x words * 4, if there are more than 256 blocks */
    uint16_t *counts;   /* clusters */
    uint8_t *occurring; /* areas x clusters */
    uint16_t *found;    /* areas: how many of them there are */
    int16_t *centroids; /* of 4 clusters */
    int16_t *table;     /* slices_per_pass x b x tiles of a group x slots x 16 */
    int8_t *vector;     /* of a row by itself, if there can be any */
    int16_t *added;     /* likewise: table rows of 4 of them */
    int16_t *alone;     /* likewise: sums of OST_REUSE_TOGETHER of them, if there is one pass */
    int16_t *rest;      /* accumulators that do not fit into the output, if there are several passes */
    int32_t bytes;
} image_scratch;

OST_INLINE void *take(char *base, int32_t *used, int32_t bytes)
{
    char *part = base ? base + *used : NULL;
    *used += ost_round_up(bytes, 8);
    return part;
}

/* Ids are too many for a place each. */
OST_INLINE int is_hashed(const ost_reuse_image_s8_params *p)
{
    return p->hash.hashes > 8 || p->slots < 1 << p->hash.hashes;
}

/* Channel blocks of a pixel, if all kernel positions share their hashes. */
OST_INLINE int32_t blocks_of(const ost_reuse_image_s8_params *p)
{
    return p->window.input.channels / (p->hash.words * 4);
}

OST_INLINE int32_t id_bytes(const ost_reuse_image_s8_params *p)
{
    return is_hashed(p) ? 2 : 1;
}

OST_INLINE int32_t padded_width(const ost_window *w)
{
    return w->input.width + 2 * w->padding.width;
}

OST_INLINE int32_t padded_pixels(const ost_window *w)
{
    return (w->input.height + 2 * w->padding.height) * padded_width(w);
}

/* There is padding, but no copy with it. */
OST_INLINE int fills_padding(const ost_reuse_image_s8_params *p)
{
    return ost_reuse_is_padded(&p->window) && !p->padded;
}

/* Centroids of all slices of a pass are kept, in the place of their sums, for several groups of channels. */
OST_INLINE int keeps_centroids(const ost_reuse_image_s8_params *p)
{
    return p->tiles_per_group < ost_reuse_tiles(p->window.output.channels);
}

OST_INLINE int32_t clusters_of(const ost_reuse_image_s8_params *p)
{
    return p->slots + is_hashed(p); /* what finds no slot is summed behind the others */
}

/* Rows of outputs whose vectors are handled together, if they need not be gathered. */
OST_INLINE int32_t rows_together(const ost_reuse_image_s8_params *p)
{
    const int32_t rows = OST_REUSE_RUN / (p->window.output.width + 1);
    return rows > 1 ? rows : 1;
}

/* Blocks that are handled together at most. */
OST_INLINE int32_t longest_run(const ost_reuse_image_s8_params *p)
{
    return p->block_rows > 1 ? OST_REUSE_BLOCKS : ost_reuse_run_length(&p->window) * rows_together(p);
}

OST_INLINE image_scratch lay_out(const ost_reuse_image_s8_params *p, void *base)
{
    const int32_t positions = p->window.output.height * p->window.output.width, channels = p->window.output.channels;
    const int32_t values = p->hash.words * 4, tiles = ost_reuse_tiles(channels), b = p->block_rows;
    const int32_t blocks = positions / b;
    const int one_pass = p->slices_per_pass >= p->slices.count, hashed = is_hashed(p);
    const int singles = hashed || positions % b != 0;
    const int32_t clusters = clusters_of(p), areas = keeps_centroids(p) ? p->slices_per_pass : 1;
    const int32_t group = p->tiles_per_group * OST_REUSE_TILE * (int32_t)sizeof(int16_t);
    const int fills = fills_padding(p);
    const int32_t gather = b > 1   ? OST_REUSE_BLOCKS * values
                           : fills ? ost_reuse_run_length(&p->window) * values
                                   : ost_reuse_gather_bytes(&p->window, &p->slices, p->hash.words);
    const int32_t row = tiles * OST_REUSE_TILE * (int32_t)sizeof(int16_t);
    const int32_t places = hashed ? 1 << ost_reuse_slot_bits(p->slots) : 0;
    image_scratch s;
    s.bytes = 0;
    s.missing = (int32_t *)take(base, &s.bytes, (int32_t)sizeof(int32_t));
    s.padded = (int8_t *)take(base, &s.bytes, fills ? 0 : ost_reuse_padded_bytes(&p->window));
    s.gather = (int8_t *)take(base, &s.bytes, gather);
    s.map = (uint8_t *)take(base, &s.bytes, p->pixel_ids ? padded_pixels(&p->window) * blocks_of(p) * id_bytes(p) : 0);
    s.wide_ids = (uint16_t *)take(base, &s.bytes, hashed ? longest_run(p) * (int32_t)sizeof(uint16_t) : 0);
    s.keys = (uint16_t *)take(base, &s.bytes, places * (int32_t)sizeof(uint16_t));
    s.slots = (uint8_t *)take(base, &s.bytes, places);
    s.ids = (uint8_t *)take(base, &s.bytes, blocks * p->slices_per_pass + 1);
    s.sums = (int16_t *)take(base, &s.bytes, areas * clusters * values * 2);
    s.high = (int16_t *)take(base, &s.bytes, blocks > OST_REUSE_EXACT_ROWS ? clusters * values * 2 : 0);
    s.counts = (uint16_t *)take(base, &s.bytes, clusters * 2);
    s.occurring = (uint8_t *)take(base, &s.bytes, areas * clusters);
    s.found = (uint16_t *)take(base, &s.bytes, areas * 2);
    s.centroids = (int16_t *)take(base, &s.bytes, 4 * values * 2);
    s.table = (int16_t *)take(base, &s.bytes, p->slices_per_pass * b * p->slots * group);
    s.vector = (int8_t *)take(base, &s.bytes, singles ? values / b : 0);
    s.added = (int16_t *)take(base, &s.bytes, singles ? OST_REUSE_SINGLES * group : 0);
    s.alone = (int16_t *)take(base, &s.bytes, singles && one_pass ? OST_REUSE_TOGETHER * group : 0);
    s.rest = (int16_t *)take(base, &s.bytes, one_pass ? 0 : p->rest * row);
    return s;
}

#endif /* OST_REUSE_IMAGE_SCRATCH_H */
