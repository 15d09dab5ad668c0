/* Rows of X that are clusters by themselves: those of a block that found no slot, and those in no block. */
#ifndef OST_REUSE_SINGLE_H
#define OST_REUSE_SINGLE_H

#include "ost_reuse_recover.h"
#include "ost_reuse_rows.h"

/* Rows that are multiplied together. */
#define OST_REUSE_SINGLES 4
/* Rows that are recovered together, not all of which are clusters by themselves in every slice. */
#define OST_REUSE_TOGETHER 16

typedef struct {
    const ost_reuse_image_s8_params *params;
    ost_reuse_row_source source;
    int8_t *vector;     /* words * 4 */
    int16_t *centroids; /* OST_REUSE_SINGLES times as many */
    int16_t *added;     /* tiles of a group x OST_REUSE_SINGLES x 16 */
    int16_t *sums;      /* OST_REUSE_TOGETHER x tiles of a group x 16, if there is one pass */
} ost_reuse_single;

/* What `ost_reuse_recover` leaves out of a group of channels in a pass over slices `first` to
 * `first + pass->slices - 1`. */
void ost_reuse_recover_singles(const ost_reuse_single *single, const ost_reuse_recovery *pass, int32_t first);

#endif /* OST_REUSE_SINGLE_H */
