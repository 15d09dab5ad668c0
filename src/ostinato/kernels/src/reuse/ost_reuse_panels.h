/* Horizontal reuse: what a call works with, and its steps (ost_reuse_horizontal_s8.c has the order of them).
 *
 * A unit is L columns of a panel of l rows; its vector is row by row, l * L values in whole words. The columns of all
 * clusters stand side by side; two of them at a time are multiplied: pairs x rows x 2 int16, for SMLAD.
 *
 * A compact panel has no copy of its part of the padded input: a column's values are read one after the other, with the
 * padding filled in, for a few rows at a time. Clusters are those of all rows; what is behind them is made for each few
 * rows anew. */
#ifndef OST_REUSE_PANELS_H
#define OST_REUSE_PANELS_H

#include "ost_reuse.h"
#include "ost_reuse_slots.h"

/* Units that are gathered together. */
#define OST_REUSE_UNITS 16
/* So many int8 weights add up within int16. */
#define OST_REUSE_MOST_SUMMED 255

typedef struct {
    const ost_reuse_horizontal_s8_params *p;
    const int8_t *x;    /* the padded input, or the part of it that panels read */
    int32_t height;     /* rows of that part */
    int32_t top;        /* its first row; -1: there is none yet */
    int32_t units;
    int32_t found;      /* clusters of this panel */
    int32_t rows;       /* of the panel, that are multiplied together now */
    int32_t *missing;   /* scratch from here on: how many units found no slot */
    int8_t *padded;     /* rows of the input with their padding, if it has any, as many as a panel's windows can reach */
    int32_t *corners;   /* l: where each row's window begins in x, or -1; compact: only of the rows, the element of the
                         * input's row */
    int32_t *placed;    /* those of the rows */
    int32_t *tops;      /* of the rows, compact: the row of the input */
    int8_t *line;       /* of the rows, compact: a column's values */
    int32_t at;         /* compact: the first of the rows that are placed, of all; -1: there are none yet */
    int8_t *gather;     /* units_together x words * 4 */
    uint16_t *wide_ids; /* units_together, if ids are not slots themselves */
    uint8_t *slots;     /* units: the slot of each */
    uint16_t *order;    /* units: the first columns of those of the first cluster, the next, ...; of those without a slot */
    uint16_t *ends;     /* clusters, and one more: the end of each cluster's units in the order */
    int16_t *centroids; /* ceil(slots * L / 2) x rows x 2 */
    int16_t *alone;     /* rows x 2: of two columns by themselves */
    int32_t *acc;       /* rows x 4 channels */
    ost_slot_map map;
    int32_t bytes;
} ost_reuse_panel;

OST_INLINE int ost_panel_is_hashed(const ost_reuse_horizontal_s8_params *p)
{
    return p->hash.hashes > 8 || p->slots < 1 << p->hash.hashes;
}

ost_reuse_panel ost_reuse_lay_out_panel(const ost_reuse_horizontal_s8_params *p, void *scratch);

/* Rows of outputs that a panel's lie in. */
typedef struct {
    int32_t first;
    int32_t last;
} ost_panel_span;

ost_panel_span ost_reuse_panel_span(const ost_reuse_horizontal_s8_params *p, int32_t first);

/* The output position of a row of X. */
OST_INLINE int32_t ost_panel_position(const ost_reuse_horizontal_s8_params *p, int32_t row)
{
    return p->rows ? p->rows[row] : row;
}

/* Clusters of the panel whose first row is `first`; `in` is the input. */
void ost_reuse_cluster_panel(ost_reuse_panel *panel, int32_t first, const int8_t *in);

/* Takes `count` rows from the panel's r-th on, which are rows first + r of all: for the two functions that follow. */
void ost_reuse_take_rows(ost_reuse_panel *panel, int32_t first, int32_t r, int32_t count);

/* Centroids of the rows. */
void ost_reuse_panel_centroids(const ost_reuse_panel *panel);

/* Their outputs; `first` is the first of them. */
void ost_reuse_multiply_panel(ost_reuse_panel *panel, int32_t first, int8_t *out);

/* Compact: places `count` rows from `first` on, those behind the last output in the padding. */
void ost_reuse_place_rows(ost_reuse_panel *panel, int32_t first, int32_t count);

/* Compact: values of a column, one for each row that is placed, to `line`. */
void ost_reuse_read_column(const ost_reuse_panel *panel, int32_t column);

/* Compact: vectors of `count` units from `unit` on, of the panel whose first row is `first`. */
void ost_reuse_fill_units(ost_reuse_panel *panel, int32_t first, int32_t unit, int32_t count);

#endif /* OST_REUSE_PANELS_H */
