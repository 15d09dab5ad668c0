/* Recovering of image scope (ost_reuse_recover.h). */
#include "ost_reuse_recover.h"

#include "../support/ost_window.h"
#include "ost_reuse_finish.h"
#include "ost_reuse_recover_rows.h"

/* Bytes of a position's accumulators. */
OST_INLINE int32_t sums_bytes(const ost_reuse_recovery *pass)
{
    return ost_reuse_tiles(pass->channels) * OST_REUSE_TILE * (int32_t)sizeof(int16_t);
}

char *ost_reuse_place(const ost_reuse_recovery *pass, int32_t row)
{
    const int32_t position = ost_reuse_position(pass, row), in_out = pass->in_out;
    const int32_t channel = pass->tile * OST_REUSE_TILE;
    if (!pass->several) {
        return (char *)pass->out + position * pass->channels + channel;
    }
    return 2 * channel + (position < in_out ? (char *)pass->out + (position - pass->begin) * sums_bytes(pass)
                                            : (char *)pass->rest + (position - in_out) * sums_bytes(pass));
}

/* Row r of `count` blocks, whose positions are `step` apart. */
typedef struct {
    int32_t r;
    int32_t block;
    int32_t count;
    int32_t step;
} block_run;

/* As many blocks from `block` as can be recovered together. */
OST_INLINE block_run find_run(const ost_reuse_recovery *pass, int32_t r, int32_t block)
{
    const int32_t b = pass->block_rows, blocks = ost_reuse_blocks(pass), in_out = pass->in_out;
    block_run run = {r, block, 1, b};
    int32_t last = ost_reuse_position(pass, block * b + r);
    const int32_t lowest = last < in_out ? pass->begin : in_out;
    const int32_t end = last < in_out && in_out < pass->end ? in_out : pass->end;
    if (!pass->rows && pass->missing == 0) {
        const int32_t next = (end - r + b - 1) / b;
        run.count = (next < blocks ? next : blocks) - block;
        return run;
    }
    for (int32_t next = block + 1; next < blocks && !ost_reuse_is_alone(pass, next); next++, run.count++) {
        const int32_t position = ost_reuse_position(pass, next * b + r);
        if (run.count == 1) {
            run.step = position - last;
        }
        if (position - last != run.step || position < lowest || position >= end) {
            break;
        }
        last = position;
    }
    return run;
}

/* A tile of less than 16 channels: through a buffer, so that only real channels are written. */
OST_PHASE_FUNCTION static void ost_reuse_recover_ragged(ost_recover_rows *rows, int32_t channels)
{
    const int32_t count = rows->count;
    int8_t *out = (int8_t *)rows->out;
    int8_t buffer[OST_REUSE_TILE];
    rows->out = buffer;
    rows->count = 1;
    for (int32_t n = 0; n < count; n++, out += rows->out_step, rows->ids += rows->id_step) {
        ost_reuse_recover_rows_s8(rows);
        ost_copy_bytes(out, buffer, channels);
    }
}

OST_PHASE_FUNCTION static void ost_reuse_recover_run(const ost_reuse_recovery *pass, const block_run *run)
{
    const int32_t tile_bytes = pass->several ? 2 * OST_REUSE_TILE : OST_REUSE_TILE;
    const int32_t step = run->step * (pass->several ? sums_bytes(pass) : pass->channels);
    char *place = ost_reuse_place(pass, run->block * pass->block_rows + run->r);
    for (int32_t tile = 0; tile < pass->tiles; tile++, place += tile_bytes) {
        ost_recover_rows rows;
        rows.ids = pass->ids + run->block * pass->id_step;
        rows.id_step = pass->id_step;
        rows.table = pass->table + (run->r * pass->held + tile) * pass->tile_values;
        rows.pitch = pass->block_rows * pass->held * pass->tile_values * (int32_t)sizeof(int16_t);
        rows.slices = pass->slices;
        rows.first = pass->first;
        rows.out = place;
        rows.out_step = step;
        rows.count = run->count;
        rows.fraction_bits = pass->fraction_bits;
        if (pass->several) {
            ost_reuse_recover_rows_s16(&rows);
        } else if ((pass->tile + tile + 1) * OST_REUSE_TILE > pass->channels) {
            ost_reuse_recover_ragged(&rows, pass->channels % OST_REUSE_TILE);
        } else {
            ost_reuse_recover_rows_s8(&rows);
        }
    }
}

OST_PHASE_FUNCTION void ost_reuse_recover(const ost_reuse_recovery *pass)
{
    const int some = pass->begin > 0 || pass->end < pass->positions;
    for (int32_t r = 0; r < pass->block_rows; r++) {
        for (int32_t block = 0; block < ost_reuse_blocks(pass);) {
            if (ost_reuse_is_alone(pass, block) ||
                (some && !ost_reuse_is_in_part(pass, ost_reuse_position(pass, block * pass->block_rows + r)))) {
                block++;
                continue;
            }
            const block_run run = find_run(pass, r, block);
            ost_reuse_recover_run(pass, &run);
            block += run.count;
        }
    }
}

OST_PHASE_FUNCTION void ost_reuse_finish_row(const int8_t *sums, int32_t channels, int32_t bits, int8_t *out)
{
    ost_reuse_finish_sums(sums, channels, bits, out);
}

OST_PHASE_FUNCTION void ost_reuse_finish(const ost_reuse_recovery *pass)
{
    const int32_t row = sums_bytes(pass);
    const int8_t *from = pass->out;
    int8_t *out = pass->out;
    for (int32_t n = pass->begin; n < pass->end; n++, from += row, out += pass->channels) {
        if (n == pass->in_out) {
            from = (const int8_t *)pass->rest;
        }
        ost_reuse_finish_sums(from, pass->channels, pass->fraction_bits, out);
    }
}
