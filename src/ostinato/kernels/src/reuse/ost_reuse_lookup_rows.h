/* ost_reuse_lookup_rows_<H>.S: sums of table rows for consecutive tiles of one output position. */
#ifndef OST_REUSE_LOOKUP_ROWS_H
#define OST_REUSE_LOOKUP_ROWS_H

#include "../support/ost_simd.h"

#if OST_HAS_DSP

/* The assembly knows the order of the fields. */
typedef struct {
    const void *ids;
    int32_t rows; /* at least 1 */
    const int8_t *table;
    const int16_t *offset;
    int8_t *out;
    int32_t tiles; /* at least 1 */
    int32_t fraction_bits;
} ost_lookup_rows;

typedef void (*ost_lookup_function)(const ost_lookup_rows *rows);

/* The table's row stride, 16 << H bytes, is part of the instructions: one function for each H from 3 to 8, and one for
 * tiles whose rows 2r and 2r + 1 add up within int8. A firmware links those of its H; the others are null. */
#define OST_OPTIONAL __attribute__((weak))
OST_OPTIONAL void ost_reuse_lookup_rows_3(const ost_lookup_rows *rows);
OST_OPTIONAL void ost_reuse_lookup_rows_4(const ost_lookup_rows *rows);
OST_OPTIONAL void ost_reuse_lookup_rows_5(const ost_lookup_rows *rows);
OST_OPTIONAL void ost_reuse_lookup_rows_6(const ost_lookup_rows *rows);
OST_OPTIONAL void ost_reuse_lookup_rows_7(const ost_lookup_rows *rows);
OST_OPTIONAL void ost_reuse_lookup_rows_8(const ost_lookup_rows *rows);
OST_OPTIONAL void ost_reuse_lookup_pairs_3(const ost_lookup_rows *rows);
OST_OPTIONAL void ost_reuse_lookup_pairs_4(const ost_lookup_rows *rows);
OST_OPTIONAL void ost_reuse_lookup_pairs_5(const ost_lookup_rows *rows);
OST_OPTIONAL void ost_reuse_lookup_pairs_6(const ost_lookup_rows *rows);
OST_OPTIONAL void ost_reuse_lookup_pairs_7(const ost_lookup_rows *rows);
OST_OPTIONAL void ost_reuse_lookup_pairs_8(const ost_lookup_rows *rows);

#endif

#endif /* OST_REUSE_LOOKUP_ROWS_H */
