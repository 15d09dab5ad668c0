/* Image scope in little scratch: what a call works with, and its steps (ost_reuse_image_compact_s8.c has the order of
 * them).
 *
 * Blocks have the slot of their id, in one byte. A few clusters at a time are summed, multiplied by the weights of 16
 * channels, and added to their members' accumulators, so that neither sums nor tables of all clusters exist. */
#ifndef OST_REUSE_COMPACT_H
#define OST_REUSE_COMPACT_H

#include "ost_reuse.h"
#include "ost_reuse_gemm.h"
#include "ost_reuse_rows.h"
#include "ost_reuse_slots.h"

/* Centroids that are multiplied together, at most. */
#define OST_COMPACT_TOGETHER 4

/* Output positions whose accumulators there are. */
typedef struct {
    int32_t first;
    int32_t end;
    int32_t in_out; /* so many of them in the output, from its first unfinished position on */
    int8_t *out;    /* there */
} ost_compact_part;

typedef struct {
    const ost_reuse_image_s8_params *p;
    ost_reuse_row_source source;
    int32_t run;
    int32_t together;
    int32_t positions;
    int32_t blocks;
    int32_t values;     /* lanes of a row's slice, words * 4 */
    int32_t row_bytes;  /* of a position's accumulators */
    ost_compact_part part;
    int32_t *missing;   /* scratch from here on: how many blocks found no slot, in all slices */
    int8_t *vectors;    /* run x words * 4 of blocks that are hashed; later of one row */
    int32_t *sums;      /* behind one row: of one cluster's members, values; then its centroid */
    int16_t *centroids; /* of `together` clusters: the sums' memory, if that is one */
    int16_t *added;     /* their table rows of 16 channels */
    uint16_t *members;  /* of each slot, and of none */
    uint8_t *ids;       /* blocks: the slot of each */
    uint16_t *wide_ids; /* of one run, if ids are not slots themselves */
    ost_slot_map map;
    int8_t *rest;       /* accumulators that do not fit into the output */
    int32_t bytes;
} ost_compact;

/* Rows of X whose products are made together: clusters, or rows by themselves. */
typedef struct {
    int32_t s;
    int32_t count;
    int32_t of[OST_COMPACT_TOGETHER]; /* slots, or rows of X */
} ost_compact_batch;

/* Slots of all blocks of slice s, and how many members each has; returns how many blocks have none. */
int32_t ost_compact_find_ids(ost_compact *layer, int32_t s);

/* Row r's centroids of the batch's clusters. */
void ost_compact_centroids(const ost_compact *layer, const ost_compact_batch *clusters, int32_t r);

/* Products of row r's centroids, added to the accumulators of the clusters' members. */
void ost_compact_add_clusters(const ost_compact *layer, const ost_compact_batch *clusters, int32_t r);

/* Products of rows by themselves, added to their accumulators. */
void ost_compact_add_rows(const ost_compact *layer, const ost_compact_batch *rows);

OST_INLINE int ost_compact_is_hashed(const ost_reuse_image_s8_params *p)
{
    return p->hash.hashes > 8 || p->slots < 1 << p->hash.hashes;
}

OST_INLINE int32_t ost_compact_position(const ost_compact *layer, int32_t row)
{
    return layer->p->rows ? layer->p->rows[row] : row;
}

OST_INLINE int ost_compact_is_in_part(const ost_compact *layer, int32_t position)
{
    return position >= layer->part.first && position < layer->part.end;
}

/* The accumulators of an output position of the part. */
OST_INLINE int8_t *ost_compact_sums(const ost_compact *layer, int32_t position)
{
    const int32_t n = position - layer->part.first, in_out = layer->part.in_out;
    return n < in_out ? layer->part.out + n * layer->row_bytes : layer->rest + (n - in_out) * layer->row_bytes;
}

#endif /* OST_REUSE_COMPACT_H */
