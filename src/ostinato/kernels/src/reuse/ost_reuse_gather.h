/* Four columns of consecutive vectors, gathered into one word each (ost_reuse_gather.S and its twin). */
#ifndef OST_REUSE_GATHER_H
#define OST_REUSE_GATHER_H

#include "../support/ost_simd.h"

/* The assembly knows the order of the fields. */
typedef struct {
    const int8_t *corner;   /* of the first vector's window */
    const int32_t *offsets; /* four, from the corner */
    int8_t *to;
    int32_t step;  /* bytes between the vectors' corners */
    int32_t pitch; /* bytes between the gathered words */
    int32_t count; /* vectors, at least 1 */
} ost_gather;

void ost_reuse_gather_word(const ost_gather *gather);

#endif /* OST_REUSE_GATHER_H */
