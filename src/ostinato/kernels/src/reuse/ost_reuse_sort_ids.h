/* ost_reuse_sort_ids.S: a counting sort of vectors by their ids. */
#ifndef OST_REUSE_SORT_IDS_H
#define OST_REUSE_SORT_IDS_H

#include "../support/ost_simd.h"

#if OST_HAS_DSP

/* The assembly knows the order of the fields. */
typedef struct {
    const uint8_t *ids;
    int32_t id_step; /* bytes between them */
    int32_t count;   /* at least 1 */
    uint8_t *next;   /* by id: the number of vectors, or the place of the next one */
    uint16_t *offsets;
    int32_t at;   /* the first vector's offset */
    int32_t step; /* between offsets */
    int32_t rows; /* of so many vectors, at least 1; the ids of all rows are id_step apart */
    int32_t skip; /* from the end of a row's offsets to the next one */
} ost_sort_ids;

/* next[id]++ for each id; of one row. */
void ost_reuse_count_ids(const ost_sort_ids *sort);
/* offsets[next[id]++] = the vector's offset, for each id of all rows. */
void ost_reuse_place_ids(const ost_sort_ids *sort);

#endif

#endif /* OST_REUSE_SORT_IDS_H */
