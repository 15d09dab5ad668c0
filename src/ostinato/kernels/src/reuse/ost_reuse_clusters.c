/* Sums and centroids of clusters (ost_reuse_clusters.h). */
#include "ost_reuse_clusters.h"

#include "../support/ost_window.h"
#include "ost_reuse_divide.h"
#include "ost_reuse_slices.h"
#include "ost_reuse_sum_runs.h"

OST_PHASE_FUNCTION void ost_reuse_clear_clusters(ost_clusters *clusters)
{
    const int32_t values = clusters->ids * clusters->words * 4;
    clusters->rows = 0;
    ost_fill_bytes((int8_t *)clusters->sums, 0, values * (int32_t)sizeof(int16_t));
    ost_fill_bytes((int8_t *)clusters->counts, 0, clusters->ids * (int32_t)sizeof(uint16_t));
    if (clusters->wide) {
        ost_fill_bytes((int8_t *)clusters->wide, 0, values * (int32_t)sizeof(int32_t));
    }
}

OST_PHASE_FUNCTION void ost_reuse_flush_sums(ost_clusters *clusters)
{
    const int32_t values = clusters->ids * clusters->words * 4;
    for (int32_t k = 0; k < values; k++) {
        clusters->wide[k] += clusters->sums[k];
        clusters->sums[k] = 0;
    }
    clusters->rows = 0;
}

#if OST_HAS_DSP
/* Runs of equal ids and their number; counts the vectors. */
OST_PHASE_FUNCTION static const ost_id_run *ost_reuse_find_runs(uint16_t *counts, const uint8_t *ids, int32_t id_step,
                                                                int32_t count, ost_id_run *runs)
{
    while (count > 0) {
        const uint8_t id = *ids;
        int32_t length = 0;
        do {
            ids += id_step;
            length++;
        } while (length < count && *ids == id);
        runs->id = id;
        runs->length = (uint8_t)length;
        runs++;
        counts[id] = (uint16_t)(counts[id] + length);
        count -= length;
    }
    return runs;
}

OST_INLINE void add_run(const ost_clusters *clusters, const int8_t *vectors, int32_t step, int32_t count,
                        const uint8_t *ids, int32_t id_step)
{
    ost_id_run runs[OST_REUSE_RUN];
    ost_sum_runs sum = {vectors, step, runs, ost_reuse_find_runs(clusters->counts, ids, id_step, count, runs),
                        clusters->sums, clusters->words * 4 * (int32_t)sizeof(int16_t)};
    for (int32_t left = clusters->words; left > 0; left -= 4, sum.vectors += 16, sum.sums += 16) {
        switch (left) {
        case 1:
            ost_reuse_sum_runs_1(&sum);
            break;
        case 2:
            ost_reuse_sum_runs_2(&sum);
            break;
        case 3:
            ost_reuse_sum_runs_3(&sum);
            break;
        default:
            ost_reuse_sum_runs_4(&sum);
            break;
        }
    }
}
#else
OST_INLINE void add_run(const ost_clusters *clusters, const int8_t *vectors, int32_t step, int32_t count,
                        const uint8_t *ids, int32_t id_step)
{
    for (int32_t n = 0; n < count; n++, vectors += step, ids += id_step) {
        int16_t *sum = clusters->sums + *ids * clusters->words * 4;
        const int8_t *x = vectors;
        clusters->counts[*ids]++;
        for (int32_t w = 0; w < clusters->words; w++, sum += 4, x += 4) {
            sum[0] = (int16_t)(sum[0] + x[0]);
            sum[1] = (int16_t)(sum[1] + x[2]);
            sum[2] = (int16_t)(sum[2] + x[1]);
            sum[3] = (int16_t)(sum[3] + x[3]);
        }
    }
}
#endif

OST_PHASE_FUNCTION void ost_reuse_sum_clusters(ost_clusters *clusters, const int8_t *vectors, int32_t step, int32_t count,
                            const uint8_t *ids, int32_t id_step)
{
    if (clusters->rows + count > OST_REUSE_EXACT_ROWS) {
        ost_reuse_flush_sums(clusters);
    }
    clusters->rows += count;
    add_run(clusters, vectors, step, count, ids, id_step);
}

OST_PHASE_FUNCTION int32_t ost_reuse_list_clusters(ost_clusters *clusters, uint8_t *occurring)
{
    int32_t count = 0;
    for (int32_t id = 0; id < clusters->ids; id++) {
        if (clusters->counts[id] > 0) {
            occurring[count++] = (uint8_t)id;
        }
    }
    if (clusters->wide) {
        ost_reuse_flush_sums(clusters);
    }
    return count;
}

/* sums: int16 or int32. */
#define WRITE_CENTROID(sums)                                                                                           \
    for (int32_t k = 0; k < values; k += 2, to += 2 * count) {                                                         \
        to[0] = (int16_t)ost_divide(((sums)[k] - origin) * 128, members, reciprocal);                                      \
        to[1] = (int16_t)ost_divide(((sums)[k + 1] - origin) * 128, members, reciprocal);                                  \
    }

OST_PHASE_FUNCTION void ost_reuse_centroids(const ost_clusters *clusters, const uint8_t *ids, int32_t count,
                                            int32_t zero_point, int16_t *centroids)
{
    const int32_t values = clusters->words * 4;
    for (int32_t c = 0; c < count; c++, centroids += 2) {
        const int16_t *narrow = clusters->sums + ids[c] * values;
        const int32_t members = clusters->counts[ids[c]], origin = members * zero_point;
        const int32_t reciprocal = ost_reciprocal_of(members);
        int16_t *to = centroids;
        if (clusters->wide) {
            const int32_t *wide = clusters->wide + ids[c] * values;
            WRITE_CENTROID(wide)
        } else {
            WRITE_CENTROID(narrow)
        }
    }
}
