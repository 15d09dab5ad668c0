/* Hashing by a tree of thresholds: each node compares one coordinate of the vector with a number.
 *
 * Nodes in heap order, as the planes in ost_reuse_tree.h. Packed layout of a group, P = 2^H - 1 nodes:
 *     vectors: P, the coordinate (0 to 255) in the lower byte, the threshold (int8) in the upper one; offsets: none
 * A bit is [ x[coordinate] > threshold ]. Only the coordinates that are asked are read. */
#ifndef OST_REUSE_THRESHOLDS_H
#define OST_REUSE_THRESHOLDS_H

#include "ost_reuse_hash.h"

void ost_reuse_threshold_run(const ost_reuse_hash *hash, int32_t group, const ost_hash_run *run);

#if OST_HAS_DSP
/* ost_reuse_threshold_walk.S: two vectors at a time. The assembly knows the order of the fields. */
typedef struct {
    const int8_t *vectors;
    int32_t step;
    const int16_t *nodes;
    uint8_t *ids;
    int32_t id_step;
    int32_t id_shift;
    int32_t levels; /* H, 1 to OST_THRESHOLD_LEVELS */
    int32_t wide;   /* ids are uint16 */
    int32_t pairs;  /* at least 1 */
} ost_threshold_walk;

#define OST_THRESHOLD_LEVELS 12

void ost_reuse_threshold_walk(const ost_threshold_walk *walk);
#endif

#endif /* OST_REUSE_THRESHOLDS_H */
