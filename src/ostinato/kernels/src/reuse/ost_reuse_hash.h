/* Hashing runs of equally spaced vectors: id = H sign bits, the first hash most significant.
 *
 * The H hashes of a group are split into parts of at most 4, the larger ones first (7 = 4 + 3): what a pass over the
 * vectors holds in registers. Packed layout of a group, part by part, g hashes in the part:
 *     offsets: g;   vectors: words x 2 x g x 2
 * where word w covers columns 4w .. 4w + 3, its two halves are columns (0, 2) and (1, 3) of it, SXTB16's order, and
 * the innermost pair are those two columns of one hash. Offsets and vectors are negated, so that a bit of the id is
 * the sign bit of offset - v.x. */
#ifndef OST_REUSE_HASH_H
#define OST_REUSE_HASH_H

#include "ost_reuse.h"
#include "../support/ost_simd.h"

#define OST_HASH_PART 4

/* Equally spaced vectors and where their ids go; spacings are in bytes. */
typedef struct {
    const int8_t *vectors;
    int32_t step;
    int32_t count;
    uint8_t *ids;
    int32_t id_step;
    int32_t id_bytes; /* 1 or 2 */
    int32_t id_shift; /* ids are stored times 2^id_shift */
} ost_hash_run;

/* Rows of runs. */
typedef struct {
    int32_t count;
    int32_t vectors; /* bytes from a row's first vector to the next row's */
    int32_t ids;     /* bytes from a row's first id to the next row's */
} ost_hash_rows;

/* words * 4 bytes of every vector are read. */
void ost_reuse_hash_rows(const ost_reuse_hash *hash, int32_t group, const ost_hash_run *run, const ost_hash_rows *rows);

/* A single row. */
void ost_reuse_hash_run(const ost_reuse_hash *hash, int32_t group, const ost_hash_run *run);

#endif /* OST_REUSE_HASH_H */
