/* Clustering, first step: the ids of a run of vectors (ost_reuse_hash.h). */
#include "ost_reuse_hash.h"

#include "ost_reuse_hash_pairs.h"
#include "ost_reuse_thresholds.h"
#include "ost_reuse_tree.h"

/* How many hashes the next part has when `left` hashes are to be split into `parts`. */
OST_INLINE int32_t part_size(int32_t left, int32_t parts)
{
    return (left + parts - 1) / parts;
}

#if OST_HAS_DSP
OST_INLINE void hash_part(const ost_hash_pairs *pairs, int32_t size)
{
    switch (size) {
    case 1:
        ost_reuse_hash_pairs_1(pairs);
        break;
    case 2:
        ost_reuse_hash_pairs_2(pairs);
        break;
    case 3:
        ost_reuse_hash_pairs_3(pairs);
        break;
    default:
        ost_reuse_hash_pairs_4(pairs);
        break;
    }
}

/* An odd last vector is hashed as a pair with itself. */
OST_INLINE void hash_all(const ost_hash_run *run, const ost_hash_rows *rows, const int32_t *offsets,
                         const int16_t *vectors, int32_t words, int32_t size, int32_t shift, int merge)
{
    const int32_t flags = (run->id_bytes == 2 ? OST_HASH_PAIRS_WIDE : 0) | (merge ? OST_HASH_PAIRS_MERGE : 0);
    const int32_t even = run->count & ~1;
    ost_hash_pairs pairs = {run->vectors, run->step, run->count / 2, vectors, offsets, words, run->ids, run->id_step,
                            shift, flags, rows->count, rows->vectors - even * run->step,
                            rows->ids - even * run->id_step};
    if (pairs.count > 0) {
        hash_part(&pairs, size);
    }
    if (run->count % 2 != 0) {
        pairs.vectors = run->vectors + (run->count - 1) * run->step;
        pairs.ids = run->ids + (run->count - 1) * run->id_step;
        pairs.step = 0;
        pairs.id_step = 0;
        pairs.count = 1;
        pairs.skip = rows->vectors;
        pairs.id_skip = rows->ids;
        hash_part(&pairs, size);
    }
}
#else
OST_INLINE uint32_t hash_one(const int8_t *x, const int32_t *offsets, const int16_t *vectors, int32_t words,
                             int32_t size)
{
    uint32_t bits = 0;
    for (int32_t h = 0; h < size; h++) {
        int32_t sum = offsets[h];
        for (int32_t w = 0; w < words; w++) {
            const int16_t *even = vectors + (w * 2 * size + h) * 2, *odd = even + size * 2;
            sum += x[4 * w] * even[0] + x[4 * w + 2] * even[1] + x[4 * w + 1] * odd[0] + x[4 * w + 3] * odd[1];
        }
        bits = bits << 1 | (uint32_t)(sum < 0);
    }
    return bits;
}

OST_INLINE void hash_row(const ost_hash_run *run, const int8_t *x, uint8_t *id, const int32_t *offsets,
                         const int16_t *vectors, int32_t words, int32_t size, int32_t shift, int merge)
{
    for (int32_t n = 0; n < run->count; n++, x += run->step, id += run->id_step) {
        const uint32_t bits = hash_one(x, offsets, vectors, words, size) << shift;
        if (run->id_bytes == 1) {
            *id = (uint8_t)(merge ? *id | bits : bits);
        } else {
            uint16_t *wide = (uint16_t *)(void *)id;
            *wide = (uint16_t)(merge ? *wide | bits : bits);
        }
    }
}

OST_INLINE void hash_all(const ost_hash_run *run, const ost_hash_rows *rows, const int32_t *offsets,
                         const int16_t *vectors, int32_t words, int32_t size, int32_t shift, int merge)
{
    for (int32_t r = 0; r < rows->count; r++) {
        hash_row(run, run->vectors + r * rows->vectors, run->ids + r * rows->ids, offsets, vectors, words, size, shift,
                 merge);
    }
}
#endif

/* A tree is walked row by row. */
OST_INLINE void walk_rows(const ost_reuse_hash *hash, int32_t group, const ost_hash_run *run, const ost_hash_rows *rows)
{
    ost_hash_run row = *run;
    for (int32_t r = 0; r < rows->count; r++, row.vectors += rows->vectors, row.ids += rows->ids) {
        if (hash->tree == OST_HASH_THRESHOLDS) {
            ost_reuse_threshold_run(hash, group, &row);
        } else {
            ost_reuse_tree_run(hash, group, &row);
        }
    }
}

OST_PHASE_FUNCTION void ost_reuse_hash_rows(const ost_reuse_hash *hash, int32_t group, const ost_hash_run *run,
                                            const ost_hash_rows *rows)
{
    if (hash->tree) {
        walk_rows(hash, group, run, rows);
        return;
    }
    const int32_t *offsets = hash->offsets + group * hash->hashes;
    const int16_t *vectors = hash->vectors + group * hash->hashes * hash->words * 4;
    int32_t left = hash->hashes;
    for (int32_t parts = (left + OST_HASH_PART - 1) / OST_HASH_PART; parts > 0; parts--) {
        const int32_t size = part_size(left, parts);
        const int merge = left != hash->hashes;
        left -= size;
        hash_all(run, rows, offsets, vectors, hash->words, size, run->id_shift + left, merge);
        offsets += size;
        vectors += size * hash->words * 4;
    }
}

OST_PHASE_FUNCTION void ost_reuse_hash_run(const ost_reuse_hash *hash, int32_t group, const ost_hash_run *run)
{
    const ost_hash_rows rows = {1, 0, 0};
    ost_reuse_hash_rows(hash, group, run, &rows);
}
