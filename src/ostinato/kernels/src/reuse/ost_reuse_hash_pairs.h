/* ost_reuse_hash_pairs.S: one part of a group's hashes on pairs of vectors. */
#ifndef OST_REUSE_HASH_PAIRS_H
#define OST_REUSE_HASH_PAIRS_H

#include "../support/ost_simd.h"

#if OST_HAS_DSP

#define OST_HASH_PAIRS_WIDE 1  /* ids are uint16 */
#define OST_HASH_PAIRS_MERGE 2 /* ids hold the bits of earlier parts */

/* The assembly knows the order of the fields. */
typedef struct {
    const int8_t *vectors;
    int32_t step;
    int32_t count; /* pairs, at least 1 */
    const int16_t *hashes;
    const int32_t *offsets;
    int32_t words;
    uint8_t *ids;
    int32_t id_step;
    int32_t id_shift;
    int32_t flags;
    int32_t rows;    /* of so many pairs, at least 1 */
    int32_t skip;    /* bytes from the end of a row's vectors to the next row */
    int32_t id_skip; /* bytes from the end of a row's ids to those of the next */
} ost_hash_pairs;

void ost_reuse_hash_pairs_1(const ost_hash_pairs *pairs);
void ost_reuse_hash_pairs_2(const ost_hash_pairs *pairs);
void ost_reuse_hash_pairs_3(const ost_hash_pairs *pairs);
void ost_reuse_hash_pairs_4(const ost_hash_pairs *pairs);

#endif

#endif /* OST_REUSE_HASH_PAIRS_H */
