/* Sums and centroids of clusters (ost_reuse_clusters.h). */
#include "ost_reuse_clusters.h"

#include "../support/ost_window.h"
#include "ost_reuse_divide.h"
#include "ost_reuse_slices.h"
#include "ost_reuse_sum_runs.h"

/* Whole eights; every part of the scratch has them. */
OST_INLINE void clear(void *part, int32_t bytes)
{
    int8_t *to = (int8_t *)part;
    for (; bytes > 0; bytes -= 8, to += 8) {
        ost_store_u32(to, 0);
        ost_store_u32(to + 4, 0);
        OST_KEEP_LOOP();
    }
}

OST_PHASE_FUNCTION void ost_reuse_clear_clusters(ost_clusters *clusters)
{
    const int32_t values = clusters->ids * clusters->words * 4;
    clusters->rows = 0;
    clear(clusters->sums, values * (int32_t)sizeof(int16_t));
    clear(clusters->counts, clusters->ids * (int32_t)sizeof(uint16_t));
    if (clusters->wide) {
        clear(clusters->wide, values * (int32_t)sizeof(int32_t));
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
/* Runs of equal ids in a row; counts the vectors. */
OST_INLINE ost_id_run *find_row(uint16_t *counts, const uint8_t *ids, int32_t id_step, int32_t count, ost_id_run *runs)
{
    const uint8_t *end = ids + count * id_step;
    do {
        const uint8_t id = *ids;
        int32_t length = 0;
        do {
            ids += id_step;
            length++;
        } while (ids != end && *ids == id);
        runs->id = id;
        runs->length = (uint8_t)length;
        runs++;
        counts[id] = (uint16_t)(counts[id] + length);
    } while (ids != end);
    return runs;
}

/* Runs of all rows, with a mark between rows; returns their end. */
OST_PHASE_FUNCTION static const ost_id_run *ost_reuse_find_runs(uint16_t *counts, const ost_vector_rows *rows,
                                                                const uint8_t *ids, int32_t id_step, ost_id_run *runs)
{
    const ost_id_run next_row = {0, 0};
    for (int32_t r = 0; r < rows->rows; r++, ids += rows->count * id_step) {
        if (r > 0) {
            *runs++ = next_row;
        }
        runs = find_row(counts, ids, id_step, rows->count, runs);
    }
    return runs;
}

OST_INLINE void add_rows(const ost_clusters *clusters, const ost_vector_rows *rows, const uint8_t *ids, int32_t id_step)
{
    ost_id_run runs[OST_REUSE_RUN];
    ost_sum_runs sum = {rows->vectors,
                        rows->step,
                        runs,
                        ost_reuse_find_runs(clusters->counts, rows, ids, id_step, runs),
                        clusters->sums,
                        clusters->words * 4 * (int32_t)sizeof(int16_t),
                        rows->pitch - rows->count * rows->step};
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
OST_INLINE void add_vector(const ost_clusters *clusters, const int8_t *x, uint8_t id)
{
    int16_t *sum = clusters->sums + id * clusters->words * 4;
    clusters->counts[id]++;
    for (int32_t w = 0; w < clusters->words; w++, sum += 4, x += 4) {
        sum[0] = (int16_t)(sum[0] + x[0]);
        sum[1] = (int16_t)(sum[1] + x[2]);
        sum[2] = (int16_t)(sum[2] + x[1]);
        sum[3] = (int16_t)(sum[3] + x[3]);
    }
}

OST_INLINE void add_rows(const ost_clusters *clusters, const ost_vector_rows *rows, const uint8_t *ids, int32_t id_step)
{
    for (int32_t r = 0; r < rows->rows; r++) {
        const int8_t *x = rows->vectors + r * rows->pitch;
        for (int32_t n = 0; n < rows->count; n++, x += rows->step, ids += id_step) {
            add_vector(clusters, x, *ids);
        }
    }
}
#endif

OST_PHASE_FUNCTION void ost_reuse_sum_clusters(ost_clusters *clusters, const ost_vector_rows *rows, const uint8_t *ids,
                                               int32_t id_step)
{
    const int32_t vectors = rows->count * rows->rows;
    if (clusters->rows + vectors > OST_REUSE_EXACT_ROWS) {
        ost_reuse_flush_sums(clusters);
    }
    clusters->rows += vectors;
    add_rows(clusters, rows, ids, id_step);
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

OST_INLINE uint32_t pair_of(int32_t first, int32_t second)
{
#if OST_HAS_DSP
    return ost_pkhbt16((uint32_t)first, (uint32_t)second);
#else
    return ((uint32_t)first & 0xffffu) | (uint32_t)second << 16;
#endif
}

/* Two sums at a time; first and second: how to read them. */
#define WRITE_CENTROID(first, second)                                                                                  \
    for (int32_t k = 0; k < values; k += 2, to += 2 * count) {                                                         \
        const int32_t even = ost_divide(((first) - origin) * 128, members, reciprocal);                                \
        ost_store_u32(to, pair_of(even, ost_divide(((second) - origin) * 128, members, reciprocal)));                  \
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
            WRITE_CENTROID(wide[k], wide[k + 1])
        } else if (reciprocal != 0) {
            WRITE_CENTROID((int16_t)ost_load_u32(narrow + k), (int32_t)ost_load_u32(narrow + k) >> 16)
        } else {
            WRITE_CENTROID(narrow[k], narrow[k + 1])
        }
    }
}
