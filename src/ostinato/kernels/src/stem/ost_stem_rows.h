/* The three steps of a transform-coded stem, each for one row, and the buffers between them.
 *
 * ring: the rotated pixels of the last KH rows of the padded input, colour by colour. Two neighbouring pixels are a
 * word, and the words of one place in all KH rows lie one behind the other: C x pairs x KH words. Row y is in slot
 * y mod KH; the taps come in KH versions, one for each slot that a window can begin in, so that no row is ever moved.
 * columns: one plane of v for one row of outputs, int16, with OST_STEM_SLACK words behind it that only zero taps read.
 * map: of one row of outputs (ost_stem_sum.h). */
#ifndef OST_STEM_ROWS_H
#define OST_STEM_ROWS_H

#include "ost_stem.h"
#include "../support/ost_simd.h"

#define OST_STEM_SLACK 2

/* Words of two pixels in a padded row. */
OST_INLINE int32_t ost_stem_pairs(const ost_window *w)
{
    return (w->input.width + 2 * w->padding.width + 1) / 2;
}

/* Rotates row y of the padded input into its slot. */
void ost_stem_rotate_row(const ost_stem_s8_params *p, const int8_t *in, int32_t y, int16_t *ring);

/* Plane f at every pixel column, for windows whose first row is in slot `first`. */
void ost_stem_column_row(const ost_stem_s8_params *p, int32_t f, int32_t first, const int16_t *ring, int16_t *columns);

/* Where all table rows of a row of outputs lie; the windows' first row is in slot `first`. Plane by plane, and in a plane
 * coefficient by coefficient: the first one of a group begins with the address of its id 0, the others add to it. */
void ost_stem_map_row(const ost_stem_s8_params *p, int32_t first, const int16_t *ring, int16_t *columns, uint32_t *map);

#endif /* OST_STEM_ROWS_H */
