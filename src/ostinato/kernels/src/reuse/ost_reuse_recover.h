/* Recovering of image scope: outputs are sums of table rows, one for each slice.
 *
 * A pass adds the tables of some slices. If one pass has them all, outputs are finished in registers; otherwise int16
 * accumulators are kept between passes, the first of them in the memory of the output itself: it is rewritten in place
 * by the finishing sweep, whose int8 never overtake the int16 that are still to be read. Where the scratch has no room for
 * the others, all passes are made for a part of the positions, whose outputs then are finished, and again for the next
 * ones, whose accumulators lie behind them.
 *
 * Row r of a block has a table of its own for each slice. Rows that are in no block, and blocks that have no slot in a
 * slice of the pass, are left out; they are computed by themselves (ost_reuse_single.h). */
#ifndef OST_REUSE_RECOVER_H
#define OST_REUSE_RECOVER_H

#include "ost_reuse_gemm.h"

typedef struct {
    int32_t positions;    /* N */
    int32_t channels;     /* M */
    int32_t block_rows;   /* b */
    const uint16_t *rows; /* output position of each row; NULL: the n-th row is the n-th position */
    int32_t slices;       /* tables in this pass */
    int several;          /* there are several passes */
    int first;            /* this is the first of them */
    const uint8_t *ids;   /* blocks x id_step, the first `slices` of each count; one more byte may be read */
    int32_t id_step;      /* bytes between blocks */
    int32_t no_slot;      /* the id of a block that has no slot */
    int32_t missing;      /* how many ids of this pass are that */
    int32_t tile;         /* the first tile of channels of this group */
    int32_t tiles;        /* ... and how many it has */
    int32_t held;         /* ... at most */
    const int16_t *table; /* slices x b x held x slots x 16 */
    int32_t tile_values;  /* slots * 16 */
    int32_t fraction_bits;
    int8_t *out;    /* of the part */
    int16_t *rest;  /* accumulators that do not fit into the output, if there are several passes */
    int32_t begin;  /* output positions of this part: from here on; 0, if there is one pass */
    int32_t end;    /* ... to here; all */
    int32_t in_out; /* ... whose accumulators are in the output: to here; all, if there is one pass */
} ost_reuse_recovery;

OST_INLINE int32_t ost_reuse_tiles(int32_t channels)
{
    return (channels + OST_REUSE_TILE - 1) / OST_REUSE_TILE;
}

/* Positions whose accumulators fit into the outputs of so many. */
OST_INLINE int32_t ost_reuse_positions_in_out(int32_t positions, int32_t channels)
{
    return positions * channels / (2 * OST_REUSE_TILE * ost_reuse_tiles(channels));
}

OST_INLINE int32_t ost_reuse_position(const ost_reuse_recovery *pass, int32_t row)
{
    return pass->rows ? pass->rows[row] : row;
}

OST_INLINE int ost_reuse_is_in_part(const ost_reuse_recovery *pass, int32_t position)
{
    return position >= pass->begin && position < pass->end;
}

OST_INLINE int32_t ost_reuse_blocks(const ost_reuse_recovery *pass)
{
    return pass->positions / pass->block_rows;
}

/* Whether a block has no slot in some slice of the pass. */
OST_INLINE int ost_reuse_is_alone(const ost_reuse_recovery *pass, int32_t block)
{
    const uint8_t *ids = pass->ids + block * pass->id_step;
    for (int32_t s = 0; pass->missing > 0 && s < pass->slices; s++) {
        if (ids[s] == pass->no_slot) {
            return 1;
        }
    }
    return 0;
}

/* Where the accumulators of a row are, if there are several passes, or its outputs: those of the group's first tile. */
char *ost_reuse_place(const ost_reuse_recovery *pass, int32_t row);

/* All blocks of the part that have slots: accumulators += table rows, or outputs. */
void ost_reuse_recover(const ost_reuse_recovery *pass);

/* After the last of several passes: accumulators to int8. */
void ost_reuse_finish(const ost_reuse_recovery *pass);

/* Outputs of one position from their accumulators. */
void ost_reuse_finish_row(const int8_t *sums, int32_t channels, int32_t bits, int8_t *out);

#endif /* OST_REUSE_RECOVER_H */
