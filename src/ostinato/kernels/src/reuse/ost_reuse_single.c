/* Rows of X that are clusters by themselves (ost_reuse_single.h). */
#include "ost_reuse_single.h"

#include "../support/ost_window.h"
#include "ost_reuse_fixed.h"

static const uint8_t only = 0; /* the table has one row */

/* 16 channels of every tile: sums += row, saturated. */
OST_INLINE void add_row(int16_t *sums, const int16_t *row, int32_t tile_values, int32_t tiles)
{
    for (int32_t tile = 0; tile < tiles; tile++, row += tile_values, sums += OST_REUSE_TILE) {
        for (int32_t k = 0; k < OST_REUSE_TILE; k += 2) {
#if OST_HAS_DSP
            ost_store_u32(sums + k, ost_qadd16(ost_load_u32(sums + k), ost_load_u32(row + k)));
#else
            sums[k] = ost_saturate_s16(sums[k] + row[k]);
            sums[k + 1] = ost_saturate_s16(sums[k + 1] + row[k + 1]);
#endif
        }
    }
}

/* The table row of slice s of a row of X: its centroid is the vector itself. */
OST_PHASE_FUNCTION static void ost_reuse_single_product(const ost_reuse_single *single, int32_t row, int32_t s)
{
    const ost_reuse_image_s8_params *p = single->params;
    const int32_t words = single->source.words, channels = ost_round_up(p->window.output.channels, 4);
    const int32_t zero = p->input_zero_point;
    const ost_reuse_product product = {single->centroid, 1,           words,    &only,         p->weights + s * channels * words * 4,
                                       p->multiplier,    channels,    single->added, OST_REUSE_TILE};
    const int8_t *x = single->vector;
    int16_t *to = single->centroid;
    ost_reuse_gather_rows(&single->source, s, row, 1, single->vector);
    for (int32_t w = 0; w < words; w++, x += 4, to += 4) {
        to[0] = (int16_t)((x[0] - zero) * 128);
        to[1] = (int16_t)((x[2] - zero) * 128);
        to[2] = (int16_t)((x[1] - zero) * 128);
        to[3] = (int16_t)((x[3] - zero) * 128);
    }
    ost_reuse_gemm(&product);
    if (s == 0) {
        ost_reuse_add_offset(single->added, OST_REUSE_TILE, &only, 1, p->offset, channels);
    }
}

/* Row r of a block in all slices of the pass; ids: NULL if it is in no block. */
OST_PHASE_FUNCTION static void ost_reuse_recover_single(const ost_reuse_single *single, const ost_reuse_recovery *pass,
                                                        int32_t first, int32_t row, int32_t r, const uint8_t *ids)
{
    const int32_t tiles = ost_reuse_tiles(pass->channels), bytes = tiles * OST_REUSE_TILE * (int32_t)sizeof(int16_t);
    char *place = ost_reuse_place(pass, row);
    if (pass->several && !pass->first) {
        ost_copy_bytes((int8_t *)single->sums, (const int8_t *)place, bytes);
    } else {
        ost_fill_bytes((int8_t *)single->sums, 0, bytes);
    }
    for (int32_t s = 0; s < pass->slices; s++) {
        if (!ids || ids[s] == pass->no_slot) {
            ost_reuse_single_product(single, row, first + s);
            add_row(single->sums, single->added, OST_REUSE_TILE, tiles);
        } else {
            const int16_t *table = pass->table + (s * pass->block_rows + r) * tiles * pass->tile_values;
            add_row(single->sums, table + ids[s] * OST_REUSE_TILE, pass->tile_values, tiles);
        }
    }
    if (pass->several) {
        ost_copy_bytes((int8_t *)place, (const int8_t *)single->sums, bytes);
    } else {
        ost_reuse_finish_row((const int8_t *)single->sums, pass->channels, pass->fraction_bits, (int8_t *)place);
    }
}

OST_PHASE_FUNCTION void ost_reuse_recover_singles(const ost_reuse_single *single, const ost_reuse_recovery *pass,
                                                  int32_t first)
{
    const int32_t b = pass->block_rows, blocks = ost_reuse_blocks(pass);
    for (int32_t block = 0; pass->missing > 0 && block < blocks; block++) {
        for (int32_t r = 0; r < b && ost_reuse_is_alone(pass, block); r++) {
            ost_reuse_recover_single(single, pass, first, block * b + r, r, pass->ids + block * pass->id_step);
        }
    }
    for (int32_t row = blocks * b; row < pass->positions; row++) {
        ost_reuse_recover_single(single, pass, first, row, 0, NULL);
    }
}
