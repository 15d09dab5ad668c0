/* ost_reuse_sum_members.S: vectors added to their clusters' sums, all of a cluster in one go. */
#ifndef OST_REUSE_SUM_MEMBERS_H
#define OST_REUSE_SUM_MEMBERS_H

#include "../support/ost_simd.h"

#if OST_HAS_DSP

/* Vectors of one cluster, behind one another in the list of all. */
typedef struct {
    uint8_t id;
    uint8_t members; /* at least 1 */
} ost_id_members;

/* The assembly knows the order of the fields. */
typedef struct {
    const int8_t *vectors;   /* the first vector, at the first of the 1 to 4 words that are added */
    const uint16_t *offsets; /* from there to the vectors, cluster by cluster */
    const ost_id_members *clusters;
    const ost_id_members *end;
    int16_t *sums; /* of id 0, at the same word */
    int32_t pitch; /* bytes between the sums of two ids */
} ost_sum_members;

void ost_reuse_sum_members_1(const ost_sum_members *sum);
void ost_reuse_sum_members_2(const ost_sum_members *sum);
void ost_reuse_sum_members_3(const ost_sum_members *sum);
void ost_reuse_sum_members_4(const ost_sum_members *sum);

#endif

#endif /* OST_REUSE_SUM_MEMBERS_H */
