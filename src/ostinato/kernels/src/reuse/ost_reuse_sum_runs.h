/* ost_reuse_sum_runs.S: vectors added to their clusters' sums, neighbours that share a cluster in one go. */
#ifndef OST_REUSE_SUM_RUNS_H
#define OST_REUSE_SUM_RUNS_H

#include "../support/ost_simd.h"

#if OST_HAS_DSP

/* Consecutive vectors of one cluster. */
typedef struct {
    uint8_t id;
    uint8_t length; /* 0: no vectors, the next row of them begins */
} ost_id_run;

/* The assembly knows the order of the fields. */
typedef struct {
    const int8_t *vectors; /* at the first of the 1 to 4 words that are added */
    int32_t step;          /* bytes between vectors */
    const ost_id_run *runs;
    const ost_id_run *end;
    int16_t *sums; /* of id 0, at the same word */
    int32_t pitch; /* bytes between the sums of two ids */
    int32_t skip;  /* bytes from the end of a row of vectors to the next one */
} ost_sum_runs;

void ost_reuse_sum_runs_1(const ost_sum_runs *sum);
void ost_reuse_sum_runs_2(const ost_sum_runs *sum);
void ost_reuse_sum_runs_3(const ost_sum_runs *sum);
void ost_reuse_sum_runs_4(const ost_sum_runs *sum);

#endif

#endif /* OST_REUSE_SUM_RUNS_H */
