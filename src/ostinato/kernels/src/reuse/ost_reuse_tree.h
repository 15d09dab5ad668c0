/* Hashing by a tree of hyperplanes: H of its 2^H - 1 planes decide an id.
 *
 * Planes in heap order: at level h the plane 2^h - 1 + prefix is asked, its bit is appended to the prefix, and the id is
 * the last prefix. Packed layout of a group, P planes:
 *     offsets: P;   vectors: P x words x 2 x 2
 * each plane as a part of one hash in ost_reuse_hash.h, negated alike: a bit is the sign of offset - v.x. */
#ifndef OST_REUSE_TREE_H
#define OST_REUSE_TREE_H

#include "ost_reuse_hash.h"

void ost_reuse_tree_run(const ost_reuse_hash *hash, int32_t group, const ost_hash_run *run);

#endif /* OST_REUSE_TREE_H */
