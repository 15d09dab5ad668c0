/* Horizontal reuse: what a call works with, and its steps (ost_reuse_horizontal_s8.c has the order of them).
 *
 * A unit is L columns of a panel of l rows; its vector is row by row, l * L values in whole words. The columns of all
 * clusters stand side by side; two of them at a time are multiplied: pairs x l x 2 int16, for SMLAD. */
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
    int32_t *missing;   /* scratch from here on: how many units found no slot */
    int8_t *padded;     /* rows of the input with their padding, if it has any, as many as a panel's windows can reach */
    int32_t *corners;   /* l: of this panel's rows, or -1 */
    int8_t *gather;     /* OST_REUSE_UNITS x words * 4 */
    uint16_t *wide_ids; /* OST_REUSE_UNITS, if ids are not slots themselves */
    uint8_t *slots;     /* units: the slot of each */
    uint16_t *order;    /* units: the first columns of those of the first cluster, the next, ...; of those without a slot */
    uint16_t *ends;     /* clusters, and one more: the end of each cluster's units in the order */
    int16_t *centroids; /* ceil(slots * L / 2) x l x 2 */
    int16_t *alone;     /* l x 2: of two columns by themselves */
    int32_t *acc;       /* l x 4 channels */
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

/* Clusters and centroids of the panel whose first row is `first`; `in` is the input. */
void ost_reuse_cluster_panel(ost_reuse_panel *panel, int32_t first, const int8_t *in);

/* Its outputs. */
void ost_reuse_multiply_panel(ost_reuse_panel *panel, int32_t first, int8_t *out);

#endif /* OST_REUSE_PANELS_H */
