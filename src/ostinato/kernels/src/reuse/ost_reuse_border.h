/* Transformation without a padded copy of the input: slices are gathered from the input as it is, and what lies in its
 * padding is filled in. It takes the SRAM of one run of vectors where the copy takes the input's once more. */
#ifndef OST_REUSE_BORDER_H
#define OST_REUSE_BORDER_H

#include "ost_reuse_slices.h"

/* Slice s at output positions (oy, ox) to (oy, ox + count - 1), as `ost_reuse_slice_run` has it; x is the input. */
ost_slice_run ost_reuse_border_run(const ost_window *w, int32_t zero_point, const ost_reuse_slices *slices,
                                   int32_t words, int32_t s, const int8_t *x, int32_t oy, int32_t ox, int32_t count,
                                   int8_t *buffer);

#endif /* OST_REUSE_BORDER_H */
