/* Clustering, first step, by a tree of thresholds (ost_reuse_thresholds.h). */
#include "ost_reuse_thresholds.h"

#if OST_HAS_DSP
OST_PHASE_FUNCTION void ost_reuse_threshold_run(const ost_reuse_hash *hash, int32_t group, const ost_hash_run *run)
{
    const int16_t *nodes = hash->vectors + group * ((1 << hash->hashes) - 1);
    ost_threshold_walk walk = {run->vectors,  run->step,    nodes,              run->ids,      run->id_step,
                               run->id_shift, hash->hashes, run->id_bytes == 2, run->count / 2};
    if (walk.pairs > 0) {
        ost_reuse_threshold_walk(&walk);
    }
    if (run->count % 2 != 0) { /* a pair with itself */
        walk.vectors = run->vectors + (run->count - 1) * run->step;
        walk.ids = run->ids + (run->count - 1) * run->id_step;
        walk.step = 0;
        walk.id_step = 0;
        walk.pairs = 1;
        ost_reuse_threshold_walk(&walk);
    }
}
#else
OST_PHASE_FUNCTION void ost_reuse_threshold_run(const ost_reuse_hash *hash, int32_t group, const ost_hash_run *run)
{
    const int32_t planes = (1 << hash->hashes) - 1;
    const int16_t *nodes = hash->vectors + group * planes;
    const int8_t *x = run->vectors;
    uint8_t *id = run->ids;
    for (int32_t n = 0; n < run->count; n++, x += run->step, id += run->id_step) {
        int32_t node = 0;
        while (node < planes) {
            node = 2 * node + 1 + (x[nodes[node] & 0xff] > nodes[node] >> 8);
        }
        const uint32_t leaf = (uint32_t)(node - planes) << run->id_shift;
        if (run->id_bytes == 1) {
            *id = (uint8_t)leaf;
        } else {
            *(uint16_t *)(void *)id = (uint16_t)leaf;
        }
    }
}
#endif
