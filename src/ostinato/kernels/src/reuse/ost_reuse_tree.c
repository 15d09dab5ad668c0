/* Clustering, first step, by a tree of hyperplanes (ost_reuse_tree.h). */
#include "ost_reuse_tree.h"

/* Vectors of up to so many words stay in registers on their way down. */
#define MOST_WORDS_HELD 4

#if OST_HAS_DSP
/* `words` is constant after inlining, and the loops over it are unrolled. */
OST_INLINE uint32_t walk_held(const int8_t *x, const int32_t *offsets, const int16_t *vectors, int32_t words,
                              int32_t levels)
{
    uint32_t held[2 * MOST_WORDS_HELD];
    for (int32_t w = 0; w < words; w++) {
        const uint32_t columns = ost_load_u32(x + 4 * w);
        held[2 * w] = ost_sxtb16(columns);
        held[2 * w + 1] = ost_sxtb16_ror8(columns);
    }
    uint32_t node = 0;
    for (int32_t level = 0; level < levels; level++) {
        const int16_t *plane = vectors + node * (uint32_t)words * 4;
        int32_t sum = offsets[node];
        for (int32_t w = 0; w < words; w++) {
            sum = ost_smlad(held[2 * w], ost_load_u32(plane + 4 * w), sum);
            sum = ost_smlad(held[2 * w + 1], ost_load_u32(plane + 4 * w + 2), sum);
        }
        node = 2 * node + 1 + ((uint32_t)sum >> 31);
    }
    return node;
}

OST_INLINE uint32_t walk_long(const int8_t *x, const int32_t *offsets, const int16_t *vectors, int32_t words,
                              int32_t levels)
{
    uint32_t node = 0;
    for (int32_t level = 0; level < levels; level++) {
        const int16_t *plane = vectors + node * (uint32_t)words * 4;
        int32_t sum = offsets[node];
        for (int32_t w = 0; w < words; w++) {
            const uint32_t columns = ost_load_u32(x + 4 * w);
            sum = ost_smlad(ost_sxtb16(columns), ost_load_u32(plane + 4 * w), sum);
            sum = ost_smlad(ost_sxtb16_ror8(columns), ost_load_u32(plane + 4 * w + 2), sum);
        }
        node = 2 * node + 1 + ((uint32_t)sum >> 31);
    }
    return node;
}
#else
OST_INLINE uint32_t walk_long(const int8_t *x, const int32_t *offsets, const int16_t *vectors, int32_t words,
                              int32_t levels)
{
    uint32_t node = 0;
    for (int32_t level = 0; level < levels; level++) {
        const int16_t *plane = vectors + node * (uint32_t)words * 4;
        int32_t sum = offsets[node];
        for (int32_t w = 0; w < words; w++, plane += 4) {
            sum += x[4 * w] * plane[0] + x[4 * w + 2] * plane[1] + x[4 * w + 1] * plane[2] + x[4 * w + 3] * plane[3];
        }
        node = 2 * node + 1 + (uint32_t)(sum < 0);
    }
    return node;
}

OST_INLINE uint32_t walk_held(const int8_t *x, const int32_t *offsets, const int16_t *vectors, int32_t words,
                              int32_t levels)
{
    return walk_long(x, offsets, vectors, words, levels);
}
#endif

#define WALK_ALL(walk, words)                                                                                          \
    do {                                                                                                               \
        for (int32_t n = 0; n < run->count; n++, x += run->step, id += run->id_step) {                                 \
            const uint32_t leaf = (walk(x, offsets, vectors, words, hash->hashes) - first_leaf) << run->id_shift;      \
            if (run->id_bytes == 1) {                                                                                  \
                *id = (uint8_t)leaf;                                                                                   \
            } else {                                                                                                   \
                *(uint16_t *)(void *)id = (uint16_t)leaf;                                                              \
            }                                                                                                          \
        }                                                                                                              \
    } while (0)

OST_PHASE_FUNCTION void ost_reuse_tree_run(const ost_reuse_hash *hash, int32_t group, const ost_hash_run *run)
{
    const uint32_t first_leaf = (1u << hash->hashes) - 1;
    const int32_t *offsets = hash->offsets + group * (int32_t)first_leaf;
    const int16_t *vectors = hash->vectors + group * (int32_t)first_leaf * hash->words * 4;
    const int8_t *x = run->vectors;
    uint8_t *id = run->ids;
    switch (hash->words) {
    case 1:
        WALK_ALL(walk_held, 1);
        break;
    case 2:
        WALK_ALL(walk_held, 2);
        break;
    case 4:
        WALK_ALL(walk_held, 4);
        break;
    default:
        WALK_ALL(walk_long, hash->words);
        break;
    }
}
