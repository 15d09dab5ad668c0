/* Ids of compiled scope: the map, or the ids of one row of outputs. */
#ifndef OST_REUSE_IDS_H
#define OST_REUSE_IDS_H

#include "ost_reuse.h"
#include "../support/ost_simd.h"

/* Mapped: ids of every pixel of the padded map and slice; `in` is padded if the map says so. `tail` holds words * 4 bytes:
 * the last few vectors are hashed from there where whole words would reach beyond the input. */
void ost_reuse_map_ids(const ost_reuse_compiled_s8_params *params, const int8_t *in, int8_t *tail, uint8_t *map);

/* Mapped: the ids of rows `first` to `end` - 1 of the padded map; `in` is the input as it is. Where the map is one of the
 * padded input, `row` holds a row of that, and OST_LOOKUP_SLACK bytes. */
void ost_reuse_map_rows(const ost_reuse_compiled_s8_params *params, const int8_t *in, int32_t first, int32_t end,
                        int8_t *row, int8_t *tail, uint8_t *map);

/* Mapped: bytes of a row of the padded map. */
int32_t ost_reuse_map_row_bytes(const ost_reuse_compiled_s8_params *params);

/* A window of the id map, in bytes: rows of the kernel, of which each is one part (dilation 1) or a part for each tap.
 * The assembly knows the order of the first five fields. */
typedef struct {
    int32_t rows;
    int32_t row_step;
    int32_t parts;
    int32_t part_step;
    int32_t part_bytes;
    int32_t step_y; /* from one output to the next */
    int32_t step_x;
} ost_id_window;

ost_id_window ost_reuse_id_window(const ost_reuse_compiled_s8_params *params);

/* Mapped: the ids of the window at `corner`, one behind the other; OST_LOOKUP_SLACK bytes behind both `ids` and
 * the map may be touched. */
void ost_reuse_window_ids(const ost_id_window *window, const uint8_t *corner, uint8_t *ids);

/* Otherwise: the ids (count x S) of outputs (oy, ox) to (oy, ox + count - 1); x is the padded input. */
void ost_reuse_row_ids(const ost_reuse_compiled_s8_params *params, const int8_t *x, int32_t oy, int32_t ox,
                       int32_t count, int8_t *gather, uint8_t *ids);

#endif /* OST_REUSE_IDS_H */
