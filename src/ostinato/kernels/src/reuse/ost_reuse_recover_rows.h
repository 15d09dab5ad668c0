/* One tile of 16 channels at consecutive positions: the sums of table rows (ost_reuse_recover_rows.S and its twin). */
#ifndef OST_REUSE_RECOVER_ROWS_H
#define OST_REUSE_RECOVER_ROWS_H

#include "../support/ost_simd.h"

/* The assembly knows the order of the fields. Steps are in bytes. */
typedef struct {
    const uint8_t *ids;
    int32_t id_step;
    const int16_t *table; /* of the first slice and this tile */
    int32_t pitch;        /* from one slice's table to the next */
    int32_t slices;       /* at least 1 */
    int32_t first; /* 1: sums begin at zero; 0: at what is there (int16 only) */
    void *out;
    int32_t out_step;
    int32_t count;         /* positions, at least 1 */
    int32_t fraction_bits; /* int8 results only */
} ost_recover_rows;

/* 16 int16, saturated at every addition. */
void ost_reuse_recover_rows_s16(const ost_recover_rows *rows);
/* 16 int8: sums that begin at zero, shifted right by fraction_bits and saturated. */
void ost_reuse_recover_rows_s8(const ost_recover_rows *rows);

#endif /* OST_REUSE_RECOVER_ROWS_H */
