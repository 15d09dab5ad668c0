/* Sums and centroids of clusters (ost_reuse_clusters.h). */
#include "ost_reuse_clusters.h"

#include "../support/ost_window.h"

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

OST_PHASE_FUNCTION static void ost_reuse_flush_sums(ost_clusters *clusters)
{
    const int32_t values = clusters->ids * clusters->words * 4;
    for (int32_t k = 0; k < values; k++) {
        clusters->wide[k] += clusters->sums[k];
        clusters->sums[k] = 0;
    }
    clusters->rows = 0;
}

OST_INLINE void add_vector(int16_t *sum, const int8_t *x, int32_t words)
{
    for (int32_t w = 0; w < words; w++, sum += 4, x += 4) {
#if OST_HAS_DSP
        const uint32_t v = ost_load_u32(x), a = ost_load_u32(sum), b = ost_load_u32(sum + 2);
        ost_store_u32(sum, ost_sxtab16(a, v));
        ost_store_u32(sum + 2, ost_sxtab16_ror8(b, v));
#else
        sum[0] = (int16_t)(sum[0] + x[0]);
        sum[1] = (int16_t)(sum[1] + x[2]);
        sum[2] = (int16_t)(sum[2] + x[1]);
        sum[3] = (int16_t)(sum[3] + x[3]);
#endif
    }
}

#if OST_HAS_DSP
/* Neighbours often share their cluster: its sums are then loaded and stored once for both. */
OST_INLINE void add_two_vectors(int16_t *sum, const int8_t *x, const int8_t *y, int32_t words)
{
    for (int32_t w = 0; w < words; w++, sum += 4, x += 4, y += 4) {
        const uint32_t v = ost_load_u32(x), u = ost_load_u32(y), a = ost_load_u32(sum), b = ost_load_u32(sum + 2);
        ost_store_u32(sum, ost_sxtab16(ost_sxtab16(a, v), u));
        ost_store_u32(sum + 2, ost_sxtab16_ror8(ost_sxtab16_ror8(b, v), u));
    }
}
#endif

OST_PHASE_FUNCTION static void ost_reuse_add_run(const ost_clusters *clusters, const int8_t *vectors, int32_t step,
                                                 int32_t count, const uint8_t *ids, int32_t id_step)
{
    const int32_t words = clusters->words;
    int32_t n = 0;
#if OST_HAS_DSP
    for (; n + 2 <= count; n += 2, vectors += 2 * step, ids += 2 * id_step) {
        const int32_t a = ids[0], b = ids[id_step];
        clusters->counts[a]++;
        clusters->counts[b]++;
        if (a == b) {
            add_two_vectors(clusters->sums + a * words * 4, vectors, vectors + step, words);
        } else {
            add_vector(clusters->sums + a * words * 4, vectors, words);
            add_vector(clusters->sums + b * words * 4, vectors + step, words);
        }
    }
#endif
    for (; n < count; n++, vectors += step, ids += id_step) {
        clusters->counts[*ids]++;
        add_vector(clusters->sums + *ids * words * 4, vectors, words);
    }
}

void ost_reuse_sum_clusters(ost_clusters *clusters, const int8_t *vectors, int32_t step, int32_t count,
                            const uint8_t *ids, int32_t id_step)
{
    if (clusters->rows + count > OST_REUSE_EXACT_ROWS) {
        ost_reuse_flush_sums(clusters);
    }
    clusters->rows += count;
    ost_reuse_add_run(clusters, vectors, step, count, ids, id_step);
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

OST_PHASE_FUNCTION void ost_reuse_centroids(const ost_clusters *clusters, const uint8_t *ids, int32_t count,
                                            int32_t zero_point, int16_t *centroids)
{
    const int32_t values = clusters->words * 4;
    for (int32_t c = 0; c < count; c++, centroids += 2) {
        const int16_t *narrow = clusters->sums + ids[c] * values;
        const int32_t *wide = clusters->wide ? clusters->wide + ids[c] * values : NULL;
        const int32_t members = clusters->counts[ids[c]], origin = members * zero_point;
        int16_t *to = centroids;
        for (int32_t k = 0; k < values; k += 2, to += 2 * count) {
            to[0] = (int16_t)(((wide ? wide[k] : narrow[k]) - origin) * 128 / members);
            to[1] = (int16_t)(((wide ? wide[k + 1] : narrow[k + 1]) - origin) * 128 / members);
        }
    }
}
