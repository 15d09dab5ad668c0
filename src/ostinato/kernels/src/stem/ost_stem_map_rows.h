/* One coefficient over a row of windows (ost_stem_map.c, ost_stem_map_rows.S). */
#ifndef OST_STEM_MAP_ROWS_H
#define OST_STEM_MAP_ROWS_H

#include "../support/ost_simd.h"

/* The assembly knows the order of the fields. */
typedef struct {
    const int16_t *columns;
    const uint8_t *codes; /* of coefficient 0 */
    uint32_t *map;
    uint32_t loop; /* a code is worth this many bytes; above 16 bits: fours of outputs, less one */
    const int16_t *taps; /* at an even column; those at an odd one follow */
    int32_t centre;
    uint32_t start; /* what addresses begin with, for the first coefficient of a group */
} ost_stem_map;

#if OST_HAS_DSP
/* Kernels of 2 and 3, and of 4 and 5 columns, stride 1, outputs in fours: `set` writes addresses, `add` adds to them. */
void ost_stem_map_set_2(const ost_stem_map *map);
void ost_stem_map_add_2(const ost_stem_map *map);
void ost_stem_map_set_3(const ost_stem_map *map);
void ost_stem_map_add_3(const ost_stem_map *map);
#endif

#endif /* OST_STEM_MAP_ROWS_H */
