/* Clustering, first step, by a tree of hyperplanes (ost_reuse_tree.h). */
#include "ost_reuse_tree.h"

#include "ost_reuse_tree_walk.h"

/* The leaf that a vector reaches, counted from 0. */
OST_INLINE uint32_t find_leaf(const int8_t *x, const int32_t *offsets, const int16_t *vectors, int32_t words,
                              int32_t levels)
{
    uint32_t node = 0;
    for (int32_t level = 0; level < levels; level++) {
        const int16_t *plane = vectors + node * (uint32_t)words * 4;
        int32_t sum = offsets[node];
        for (int32_t w = 0; w < words; w++, plane += 4) {
#if OST_HAS_DSP
            const uint32_t columns = ost_load_u32(x + 4 * w);
            sum = ost_smlad(ost_sxtb16(columns), ost_load_u32(plane), sum);
            sum = ost_smlad(ost_sxtb16_ror8(columns), ost_load_u32(plane + 2), sum);
#else
            sum += x[4 * w] * plane[0] + x[4 * w + 2] * plane[1] + x[4 * w + 1] * plane[2] + x[4 * w + 3] * plane[3];
#endif
        }
        node = 2 * node + 1 + ((uint32_t)sum >> 31);
    }
    return node - ((1u << levels) - 1);
}

/* Vectors of any length. */
OST_PHASE_FUNCTION static void ost_reuse_tree_walk_long(const ost_reuse_hash *hash, const int32_t *offsets,
                                                        const int16_t *vectors, const ost_hash_run *run)
{
    const int8_t *x = run->vectors;
    uint8_t *id = run->ids;
    for (int32_t n = 0; n < run->count; n++, x += run->step, id += run->id_step) {
        const uint32_t leaf = find_leaf(x, offsets, vectors, hash->words, hash->hashes) << run->id_shift;
        if (run->id_bytes == 1) {
            *id = (uint8_t)leaf;
        } else {
            *(uint16_t *)(void *)id = (uint16_t)leaf;
        }
    }
}

OST_PHASE_FUNCTION void ost_reuse_tree_run(const ost_reuse_hash *hash, int32_t group, const ost_hash_run *run)
{
    const int32_t planes = (1 << hash->hashes) - 1;
    const int32_t *offsets = hash->offsets + group * planes;
    const int16_t *vectors = hash->vectors + group * planes * hash->words * 4;
#if OST_HAS_DSP
    if (run->count > 0 && hash->hashes <= OST_TREE_LEVELS) {
        const ost_tree_walk walk = {run->vectors, run->step,    run->count,    offsets,      vectors,
                                    run->ids,     run->id_step, run->id_shift, hash->hashes, run->id_bytes == 2};
        switch (hash->words) {
        case 1:
            ost_reuse_tree_walk_1(&walk);
            return;
        case 2:
            ost_reuse_tree_walk_2(&walk);
            return;
        case 4:
            ost_reuse_tree_walk_4(&walk);
            return;
        default:
            break;
        }
    }
#endif
    ost_reuse_tree_walk_long(hash, offsets, vectors, run);
}
