/* ost_max_pool_s8_columns.S: 8 channels of a row of 3 x 3 windows at a stride of 2. */
#ifndef OST_MAX_POOL_S8_COLUMNS_H
#define OST_MAX_POOL_S8_COLUMNS_H

#include "../support/ost_simd.h"

#if OST_HAS_DSP

/* The assembly knows the order of the fields. */
typedef struct {
    const int8_t *in;    /* the first window's first column, or, if that is padding, its second */
    int32_t second_row;  /* bytes from a window's first row to its second; 0: there is none */
    int32_t column_step; /* bytes from a column to the next one, in the input and in the output */
    int8_t *out;
    int32_t count;     /* windows, at least 1 */
    int32_t third_row; /* bytes from the second row to the third; 0: there is none */
    int32_t padded;    /* 1: the first window's first column is padding */
} ost_max_pool_columns;

void ost_max_pool_s8_columns(const ost_max_pool_columns *columns);

#endif

#endif /* OST_MAX_POOL_S8_COLUMNS_H */
