/* Recovering of image scope (ost_reuse_recover.h). */
#include "ost_reuse_recover.h"

#include "../support/ost_window.h"
#include "ost_reuse_fixed.h"
#include "ost_reuse_recover_rows.h"

static const int16_t zeros[OST_REUSE_TILE];

OST_INLINE ost_recover_rows rows_of_tile(const ost_reuse_recovery *pass, int32_t tile)
{
    ost_recover_rows rows;
    rows.ids = pass->ids;
    rows.id_step = pass->id_step;
    rows.table = pass->table + tile * pass->tile_values;
    rows.pitch = ost_reuse_tiles(pass->channels) * pass->tile_values * (int32_t)sizeof(int16_t);
    rows.slices = pass->slices;
    rows.start = zeros;
    rows.start_step = 0;
    rows.out = pass->out + tile * OST_REUSE_TILE;
    rows.out_step = pass->channels;
    rows.count = pass->positions;
    rows.fraction_bits = pass->fraction_bits;
    return rows;
}

/* The last tile, if it has less than 16 channels: through a buffer, so that only real channels are written. */
OST_PHASE_FUNCTION static void ost_reuse_recover_ragged(const ost_reuse_recovery *pass, int32_t tile)
{
    ost_recover_rows rows = rows_of_tile(pass, tile);
    int8_t *out = (int8_t *)rows.out;
    int8_t buffer[OST_REUSE_TILE];
    rows.out = buffer;
    rows.count = 1;
    for (int32_t n = 0; n < pass->positions; n++, out += pass->channels, rows.ids += pass->id_step) {
        ost_reuse_recover_rows_s8(&rows);
        ost_copy_bytes(out, buffer, pass->channels % OST_REUSE_TILE);
    }
}

OST_PHASE_FUNCTION void ost_reuse_recover(const ost_reuse_recovery *pass)
{
    const int32_t full = pass->channels / OST_REUSE_TILE;
    for (int32_t tile = 0; tile < full; tile++) {
        const ost_recover_rows rows = rows_of_tile(pass, tile);
        ost_reuse_recover_rows_s8(&rows);
    }
    if (pass->channels % OST_REUSE_TILE != 0) {
        ost_reuse_recover_ragged(pass, full);
    }
}

OST_PHASE_FUNCTION void ost_reuse_accumulate(const ost_reuse_recovery *pass, int first, int16_t *rest)
{
    const int32_t tiles = ost_reuse_tiles(pass->channels);
    const int32_t tile_bytes = OST_REUSE_TILE * (int32_t)sizeof(int16_t);
    const int32_t in_out = ost_reuse_positions_in_out(pass->positions, pass->channels);
    for (int32_t tile = 0; tile < tiles; tile++) {
        ost_recover_rows rows = rows_of_tile(pass, tile);
        rows.out_step = tiles * tile_bytes;
        rows.out = pass->out + tile * tile_bytes;
        rows.count = in_out;
        for (int32_t half = 0; half < 2; half++) {
            if (!first) {
                rows.start = rows.out;
                rows.start_step = rows.out_step;
            }
            if (rows.count > 0) {
                ost_reuse_recover_rows_s16(&rows);
            }
            rows.ids = pass->ids + in_out * pass->id_step;
            rows.out = (char *)rest + tile * tile_bytes;
            rows.count = pass->positions - in_out;
        }
    }
}

/* Up to four channels, from the order 0 2 1 3. */
OST_INLINE void finish_some(int8_t *to, const int8_t *from, int32_t bits, int32_t count)
{
    const uint32_t even = ost_load_u32(from), odd = ost_load_u32(from + 4);
    const uint32_t halves[4] = {even, odd, even >> 16, odd >> 16};
    for (int32_t k = 0; k < count; k++) {
        to[k] = ost_saturate_s8((int16_t)halves[k] >> bits);
    }
}

OST_PHASE_FUNCTION void ost_reuse_finish(const ost_reuse_recovery *pass, const int16_t *rest)
{
    const int32_t channels = pass->channels, bits = pass->fraction_bits;
    const int32_t row = OST_REUSE_TILE * ost_reuse_tiles(channels) * (int32_t)sizeof(int16_t);
    const int32_t in_out = ost_reuse_positions_in_out(pass->positions, channels);
    const int8_t *from = pass->out;
    int8_t *out = pass->out;
    for (int32_t n = 0; n < pass->positions; n++, from += row, out += channels) {
        if (n == in_out) {
            from = (const int8_t *)rest;
        }
        int32_t m = 0;
        for (; m + 4 <= channels; m += 4) {
#if OST_HAS_DSP
            /* Doubling with saturation until the result is the high byte: the same as shift and saturate. */
            uint32_t even = ost_load_u32(from + 2 * m), odd = ost_load_u32(from + 2 * m + 4);
            for (int32_t k = bits; k < 8; k++) {
                even = ost_qadd16(even, even);
                odd = ost_qadd16(odd, odd);
            }
            ost_store_u32(out + m, (even >> 8 & 0x00ff00ffu) | (odd & 0xff00ff00u));
#else
            finish_some(out + m, from + 2 * m, bits, 4);
#endif
        }
        if (m < channels) {
            finish_some(out + m, from + 2 * m, bits, channels - m);
        }
    }
}
