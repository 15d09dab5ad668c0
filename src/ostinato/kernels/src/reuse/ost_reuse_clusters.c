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
    if (clusters->high) {
        clear(clusters->high, values * (int32_t)sizeof(int16_t));
    }
}

OST_PHASE_FUNCTION void ost_reuse_flush_sums(ost_clusters *clusters)
{
    const int32_t values = clusters->ids * clusters->words * 4;
    for (int32_t k = 0; k < values; k += 2) {
#if OST_HAS_DSP
        const uint32_t sums = ost_load_u32(clusters->sums + k);
        ost_store_u32(clusters->high + k, ost_sxtab16_ror8(ost_load_u32(clusters->high + k), sums));
        ost_store_u32(clusters->sums + k, sums & 0x00ff00ffu);
#else
        for (int32_t i = k; i < k + 2; i++) {
            clusters->high[i] = (int16_t)(clusters->high[i] + (clusters->sums[i] >> 8));
            clusters->sums[i] &= 0xff;
        }
#endif
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
    return count;
}

/* How sums become centroids. */
typedef struct {
    int32_t origin; /* 128 * members * zero point, negated */
    int32_t members;
    int32_t reciprocal;
} centroid_scale;

OST_INLINE centroid_scale scale_of(int32_t members, int32_t zero_point)
{
    const centroid_scale scale = {-128 * members * zero_point, members, ost_reciprocal_of(members)};
    return scale;
}

OST_INLINE uint32_t pair_of(int32_t first, int32_t second)
{
#if OST_HAS_DSP
    return ost_pkhbt16((uint32_t)first, (uint32_t)second);
#else
    return ((uint32_t)first & 0xffffu) | (uint32_t)second << 16;
#endif
}

/* 128 * (a halfword of the sums) + origin. */
OST_INLINE int32_t low_of(uint32_t sums, int32_t origin)
{
#if OST_HAS_DSP
    return ost_smlabb(sums, 128, origin);
#else
    return (int16_t)sums * 128 + origin;
#endif
}

OST_INLINE int32_t high_of(uint32_t sums, int32_t origin)
{
#if OST_HAS_DSP
    return ost_smlatb(sums, 128, origin);
#else
    return (int16_t)(sums >> 16) * 128 + origin;
#endif
}

/* Two sums at a time; `divide` has one of them as `value`. */
#define WRITE_CENTROID(divide)                                                                                         \
    for (int32_t k = 0; k < values; k += 2, to += 2 * count) {                                                         \
        const uint32_t two = ost_load_u32(narrow + k);                                                                 \
        int32_t value = low_of(two, scale.origin);                                                                     \
        const int32_t even = (divide);                                                                                 \
        value = high_of(two, scale.origin);                                                                            \
        ost_store_u32(to, pair_of(even, (divide)));                                                                    \
    }

OST_PHASE_FUNCTION void ost_reuse_centroids(const ost_clusters *clusters, const uint8_t *ids, int32_t count,
                                            int32_t zero_point, int16_t *centroids)
{
    const int32_t values = clusters->words * 4;
    for (int32_t c = 0; c < count; c++, centroids += 2) {
        const int16_t *narrow = clusters->sums + ids[c] * values;
        const int32_t members = clusters->counts[ids[c]];
        const centroid_scale scale = scale_of(members, zero_point);
        int16_t *to = centroids;
        if (clusters->high) {
            const int16_t *high = clusters->high + ids[c] * values;
            for (int32_t k = 0; k < values; k += 2, to += 2 * count) {
                const int32_t even = (high[k] * 256 + narrow[k]) * 128 + scale.origin;
                const int32_t odd = (high[k + 1] * 256 + narrow[k + 1]) * 128 + scale.origin;
                ost_store_u32(to, pair_of(ost_divide(even, members, scale.reciprocal),
                                          ost_divide(odd, members, scale.reciprocal)));
            }
        } else if (scale.reciprocal != 0) {
            WRITE_CENTROID(ost_divide_by(value, scale.reciprocal))
        } else {
            WRITE_CENTROID(value >> (members - 1)) /* one or two members: exact, for it is a multiple of 128 */
        }
    }
}
