/* Sums and centroids of clusters (ost_reuse_clusters.h). */
#include "ost_reuse_clusters.h"

#include "../support/ost_window.h"
#include "ost_reuse_divide.h"
#include "ost_reuse_slices.h"
#include "ost_reuse_sort_ids.h"
#include "ost_reuse_sum_members.h"

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
/* Vectors by cluster. */
typedef struct {
    uint16_t offsets[OST_REUSE_RUN]; /* in bytes from the first vector */
    ost_id_members clusters[OST_REUSE_RUN];
    int32_t count; /* clusters */
} members_list;

/* A counting sort by ids; counts the vectors. */
OST_PHASE_FUNCTION static void ost_reuse_sort_members(const ost_clusters *clusters, const ost_vector_rows *rows,
                                                      const uint8_t *ids, int32_t id_step, members_list *list)
{
    uint8_t next[OST_REUSE_MOST_CLUSTERS];
    ost_sort_ids sort = {ids, id_step, rows->count * rows->rows, next, list->offsets, 0, rows->step,
                         rows->rows, rows->pitch - rows->count * rows->step};
    int32_t before = 0;
    ost_fill_bytes((int8_t *)next, 0, (clusters->ids + 3) & ~3);
    ost_reuse_count_ids(&sort);
    list->count = 0;
    for (int32_t k = 0; k < clusters->ids; k++) {
        const int32_t members = next[k];
        if (members > 0) {
            list->clusters[list->count].id = (uint8_t)k;
            list->clusters[list->count++].members = (uint8_t)members;
            clusters->counts[k] = (uint16_t)(clusters->counts[k] + members);
            next[k] = (uint8_t)before;
            before += members;
        }
    }
    sort.count = rows->count;
    ost_reuse_place_ids(&sort);
}

/* Rows that a list of offsets reaches. */
OST_INLINE void add_near(const ost_clusters *clusters, const ost_vector_rows *rows, const uint8_t *ids, int32_t id_step)
{
    members_list list;
    ost_reuse_sort_members(clusters, rows, ids, id_step, &list);
    ost_sum_members sum = {rows->vectors,
                           list.offsets,
                           list.clusters,
                           list.clusters + list.count,
                           clusters->sums,
                           clusters->words * 4 * (int32_t)sizeof(int16_t)};
    for (int32_t left = clusters->words; left > 0; left -= 4, sum.vectors += 16, sum.sums += 16) {
        switch (left) {
        case 1:
            ost_reuse_sum_members_1(&sum);
            break;
        case 2:
            ost_reuse_sum_members_2(&sum);
            break;
        case 3:
            ost_reuse_sum_members_3(&sum);
            break;
        default:
            ost_reuse_sum_members_4(&sum);
            break;
        }
    }
}

/* As many rows together, or vectors of a row, as offsets of 16 bits reach. */
OST_PHASE_FUNCTION static void ost_reuse_add_rows(const ost_clusters *clusters, const ost_vector_rows *rows,
                                                  const uint8_t *ids, int32_t id_step)
{
    const int32_t across = (rows->count - 1) * rows->step;
    ost_vector_rows near = *rows;
    if ((rows->rows - 1) * rows->pitch + across <= UINT16_MAX) {
        add_near(clusters, rows, ids, id_step);
        return;
    }
    const int32_t most = across <= UINT16_MAX ? rows->count : UINT16_MAX / rows->step + 1;
    near.rows = 1;
    for (int32_t r = 0; r < rows->rows; r++) {
        for (int32_t n = 0; n < rows->count; n += near.count, ids += near.count * id_step) {
            near.count = rows->count - n < most ? rows->count - n : most;
            near.vectors = rows->vectors + r * rows->pitch + n * rows->step;
            add_near(clusters, &near, ids, id_step);
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

OST_PHASE_FUNCTION static void ost_reuse_add_rows(const ost_clusters *clusters, const ost_vector_rows *rows,
                                                  const uint8_t *ids, int32_t id_step)
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
    ost_reuse_add_rows(clusters, rows, ids, id_step);
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

/* The centroid of a cluster of one or two members: shifting is exact, for the sums are multiples of 128. */
OST_PHASE_FUNCTION static void ost_reuse_shift_sums(const int16_t *sums, int32_t words, int16_t *to, int32_t step,
                                                    const centroid_scale *scale)
{
    const int32_t origin = scale->origin, shift = scale->members - 1;
    for (; words > 0; words--, sums += 4, to += 2 * step) {
        const uint32_t two = ost_load_u32(sums), others = ost_load_u32(sums + 2);
        ost_store_u32(to, pair_of(low_of(two, origin) >> shift, high_of(two, origin) >> shift));
        ost_store_u32(to + step, pair_of(low_of(others, origin) >> shift, high_of(others, origin) >> shift));
    }
}

/* ... of 3 to 362 members. */
OST_PHASE_FUNCTION static void ost_reuse_divide_sums(const int16_t *sums, int32_t words, int16_t *to, int32_t step,
                                                     const centroid_scale *scale)
{
    const int32_t origin = scale->origin, by = scale->reciprocal;
    for (; words > 0; words--, sums += 4, to += 2 * step) {
        const uint32_t two = ost_load_u32(sums), others = ost_load_u32(sums + 2);
        const int32_t a = ost_divide_by(low_of(two, origin), by), b = ost_divide_by(high_of(two, origin), by);
        const int32_t c = ost_divide_by(low_of(others, origin), by), d = ost_divide_by(high_of(others, origin), by);
        ost_store_u32(to, pair_of(a, b));
        ost_store_u32(to + step, pair_of(c, d));
    }
}

/* ... of any number, whose sums have high parts. */
OST_PHASE_FUNCTION static void ost_reuse_divide_high(const int16_t *sums, const int16_t *high, int32_t words,
                                                     int16_t *to, int32_t step, const centroid_scale *scale)
{
    for (int32_t k = 0; k < 4 * words; k += 2, to += step) {
        const int32_t even = (high[k] * 256 + sums[k]) * 128 + scale->origin;
        const int32_t odd = (high[k + 1] * 256 + sums[k + 1]) * 128 + scale->origin;
        ost_store_u32(to, pair_of(ost_divide(even, scale->members, scale->reciprocal),
                                  ost_divide(odd, scale->members, scale->reciprocal)));
    }
}

OST_PHASE_FUNCTION void ost_reuse_centroids(const ost_clusters *clusters, const uint8_t *ids, int32_t count,
                                            int32_t zero_point, int16_t *centroids)
{
    const int32_t words = clusters->words;
    for (int32_t c = 0; c < count; c++, centroids += 2) {
        const int32_t at = ids[c] * words * 4;
        const int32_t members = clusters->counts[ids[c]];
        const centroid_scale scale = {-128 * members * zero_point, members, ost_reciprocal_of(members)};
        if (clusters->high) {
            ost_reuse_divide_high(clusters->sums + at, clusters->high + at, words, centroids, 2 * count, &scale);
        } else if (scale.reciprocal != 0) {
            ost_reuse_divide_sums(clusters->sums + at, words, centroids, 2 * count, &scale);
        } else {
            ost_reuse_shift_sums(clusters->sums + at, words, centroids, 2 * count, &scale);
        }
    }
}
