/* Clustering, second step: the sum and the number of a slice's vectors for every id, and from them the centroids.
 *
 * Sums and centroids keep SXTB16's order within a word of columns, (0, 2) then (1, 3), as the hashes do. Sums are
 * int16: exact for OST_REUSE_EXACT_ROWS vectors, after which all but their low byte is moved to the high sums
 * (flushed): 255 and as many vectors again still are an int16, and 65,535 of them have high sums of 16 bits. */
#ifndef OST_REUSE_CLUSTERS_H
#define OST_REUSE_CLUSTERS_H

#include "../support/ost_simd.h"

#define OST_REUSE_MOST_CLUSTERS 256 /* or 255, and one more for what has no slot */
#define OST_REUSE_EXACT_ROWS 256 /* 256 * -128 still is an int16 */

typedef struct {
    int32_t ids;      /* 2^H */
    int32_t words;    /* of columns in a vector */
    int16_t *sums;    /* ids x words x 4 */
    int16_t *high;    /* in units of 256, the same; NULL if there are at most OST_REUSE_EXACT_ROWS vectors */
    uint16_t *counts; /* ids */
    int32_t rows;     /* since the last flush */
} ost_clusters;

/* Rows of vectors at equal distances, which need not lie behind one another. */
typedef struct {
    const int8_t *vectors;
    int32_t step;  /* bytes between vectors */
    int32_t count; /* vectors of a row, at least 1 */
    int32_t rows;  /* rows x (count + 1) <= OST_REUSE_RUN + 1 */
    int32_t pitch; /* bytes between the first vectors of rows */
} ost_vector_rows;

/* Forgets everything. The arrays are of whole eights of bytes. */
void ost_reuse_clear_clusters(ost_clusters *clusters);

/* Adds vectors; the ids of all rows are id_step bytes apart. */
void ost_reuse_sum_clusters(ost_clusters *clusters, const ost_vector_rows *rows, const uint8_t *ids, int32_t id_step);

/* Moves what is beyond a byte from the sums to the high sums, which must be there. */
void ost_reuse_flush_sums(ost_clusters *clusters);

/* Writes the ids that occur, in ascending order, and returns how many they are. */
int32_t ost_reuse_list_clusters(ost_clusters *clusters, uint8_t *occurring);

/* trunc(128 * (sum / n - zero_point)) of `count` (1 to 4) ids: words x 2 x count x 2. */
void ost_reuse_centroids(const ost_clusters *clusters, const uint8_t *ids, int32_t count, int32_t zero_point,
                         int16_t *centroids);

#endif /* OST_REUSE_CLUSTERS_H */
