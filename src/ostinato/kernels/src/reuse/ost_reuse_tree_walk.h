/* ost_reuse_tree_walk.S: vectors of 1, 2 or 4 words walked down a tree of up to OST_TREE_LEVELS levels. */
#ifndef OST_REUSE_TREE_WALK_H
#define OST_REUSE_TREE_WALK_H

#include "../support/ost_simd.h"

#if OST_HAS_DSP

#define OST_TREE_LEVELS 8

/* The assembly knows the order of the fields. Nodes count from 1 here, the root: the children of n are 2n and 2n + 1. */
typedef struct {
    const int8_t *vectors;
    int32_t step;
    int32_t count; /* at least 1 */
    const int32_t *offsets;
    const int16_t *planes;
    uint8_t *ids;
    int32_t id_step;
    int32_t id_shift;
    int32_t levels; /* H, 1 to OST_TREE_LEVELS */
    int32_t wide;   /* ids are uint16 */
} ost_tree_walk;

void ost_reuse_tree_walk_1(const ost_tree_walk *walk);
void ost_reuse_tree_walk_2(const ost_tree_walk *walk);
void ost_reuse_tree_walk_4(const ost_tree_walk *walk);

#endif

#endif /* OST_REUSE_TREE_WALK_H */
