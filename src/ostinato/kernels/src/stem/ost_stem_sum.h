/* Outputs of a stem: sums of table rows, 16 channels of a row of outputs at a time.
 *
 * Ids count rows of the whole table, 2^H g + id of group g, and are kept times 16, so that one table base serves all. */
#ifndef OST_STEM_SUM_H
#define OST_STEM_SUM_H

#include "../support/ost_simd.h"

#define OST_STEM_TILE 16
#define OST_STEM_MOST_ROWS 16

/* The assembly knows the order of the fields. */
typedef struct {
    const uint16_t *ids; /* outputs x R */
    const int8_t *table; /* of the tile: R x 2^H x 16 */
    const int16_t *offset; /* 16, channels in the order 0 2 1 3 of every 4 */
    int8_t *out;
    int32_t step; /* bytes from an output to the next one */
    const uint16_t *end; /* of the ids */
    int32_t rows; /* R, 1 to 16 */
    int32_t fraction_bits;
} ost_stem_sum;

/* `pairs`: where rows 2r and 2r + 1 add up within int8 whatever their ids. */
void ost_stem_sum_rows(const ost_stem_sum *sum);
void ost_stem_sum_pairs(const ost_stem_sum *sum);

#endif /* OST_STEM_SUM_H */
