/* Rows of X that are clusters by themselves: those of a block that found no slot, and those in no block. */
#ifndef OST_REUSE_SINGLE_H
#define OST_REUSE_SINGLE_H

#include "ost_reuse_recover.h"
#include "ost_reuse_rows.h"

typedef struct {
    const ost_reuse_image_s8_params *params;
    ost_reuse_row_source source;
    int8_t *vector;     /* words * 4 */
    int16_t *centroid;  /* the same */
    int16_t *added;     /* tiles x 16 */
    int16_t *sums;      /* tiles x 16 */
} ost_reuse_single;

/* What `ost_reuse_recover` leaves out in a pass over slices `first` to `first + pass->slices - 1`. */
void ost_reuse_recover_singles(const ost_reuse_single *single, const ost_reuse_recovery *pass, int32_t first);

#endif /* OST_REUSE_SINGLE_H */
