/* Recovering of compiled scope (ost_reuse_lookup.h): chooses among the look-ups, and handles a last tile that has less
 * than 16 channels. */
#include "ost_reuse_lookup.h"

#include "../support/ost_window.h"
#include "ost_reuse_fixed.h"
#include "ost_reuse_lookup_rows.h"

OST_INLINE int32_t row_bytes(const ost_lookup *lookup)
{
    return OST_LOOKUP_TILE << lookup->hashes;
}

/* Any H in C, for host and simulator and for the H that have no assembly. */
OST_PHASE_FUNCTION static void ost_reuse_lookup_tile(const ost_lookup *lookup, const void *ids, int32_t tile,
                                                     int8_t *out)
{
    const int narrow = ost_lookup_id_bytes(lookup->hashes) == 1;
    const int16_t *offset = lookup->offset + tile * OST_LOOKUP_TILE;
    const int8_t *table = lookup->table + tile * lookup->rows * row_bytes(lookup);
    int16_t sums[OST_LOOKUP_TILE];
    for (int32_t k = 0; k < OST_LOOKUP_TILE; k += 4) {
        sums[k] = offset[k];
        sums[k + 1] = offset[k + 2];
        sums[k + 2] = offset[k + 1];
        sums[k + 3] = offset[k + 3];
    }
    for (int32_t r = 0; r < lookup->rows; r++, table += row_bytes(lookup)) {
        const int8_t *from = table + (narrow ? ((const uint8_t *)ids)[r] : ((const uint16_t *)ids)[r]);
        for (int32_t k = 0; k < OST_LOOKUP_TILE; k++) {
            sums[k] = (int16_t)(sums[k] + from[k]);
        }
    }
    for (int32_t k = 0; k < OST_LOOKUP_TILE; k++) {
        out[k] = ost_saturate_s8(sums[k] >> lookup->fraction_bits);
    }
}

/* Sums that int16 does not hold; any number of channels. */
OST_PHASE_FUNCTION static void ost_reuse_lookup_wide(const ost_lookup *lookup, const void *ids, int8_t *out)
{
    const int narrow = ost_lookup_id_bytes(lookup->hashes) == 1;
    const int8_t *table = lookup->table;
    for (int32_t first = 0; first < lookup->channels; first += OST_LOOKUP_TILE) {
        const int32_t left = lookup->channels - first, count = left < OST_LOOKUP_TILE ? left : OST_LOOKUP_TILE;
        int32_t sums[OST_LOOKUP_TILE];
        for (int32_t k = 0; k < OST_LOOKUP_TILE; k++) {
            sums[k] = lookup->wide[first + k];
        }
        for (int32_t r = 0; r < lookup->rows; r++, table += row_bytes(lookup)) {
            const int8_t *from = table + (narrow ? ((const uint8_t *)ids)[r] : ((const uint16_t *)ids)[r]);
            for (int32_t k = 0; k < OST_LOOKUP_TILE; k++) {
                sums[k] += from[k];
            }
        }
        for (int32_t k = 0; k < count; k++) {
            out[first + k] = ost_saturate_s8(sums[k] >> lookup->fraction_bits);
        }
    }
}

#if OST_HAS_DSP
/* Those that are not linked are null. */
static const ost_lookup_function functions[][2] = {
    {ost_reuse_lookup_rows_3, ost_reuse_lookup_pairs_3}, {ost_reuse_lookup_rows_4, ost_reuse_lookup_pairs_4},
    {ost_reuse_lookup_rows_5, ost_reuse_lookup_pairs_5}, {ost_reuse_lookup_rows_6, ost_reuse_lookup_pairs_6},
    {ost_reuse_lookup_rows_7, ost_reuse_lookup_pairs_7}, {ost_reuse_lookup_rows_8, ost_reuse_lookup_pairs_8},
};
#define FIRST_HASHES 3
#define LAST_HASHES 8

OST_INLINE ost_lookup_function choose(const ost_lookup *lookup, int32_t tile)
{
    const int32_t h = lookup->hashes;
    return h < FIRST_HASHES || h > LAST_HASHES ? NULL : functions[h - FIRST_HASHES][lookup->paired[tile] != 0];
}

OST_INLINE void add_tiles(const ost_lookup *lookup, const void *ids, int32_t tile, int32_t count, int8_t *out)
{
    const ost_lookup_function function = choose(lookup, tile);
    if (function) {
        const ost_lookup_rows rows = {ids,
                                      lookup->rows,
                                      lookup->table + tile * lookup->rows * row_bytes(lookup),
                                      lookup->offset + tile * OST_LOOKUP_TILE,
                                      out,
                                      count,
                                      lookup->fraction_bits};
        function(&rows);
        return;
    }
    for (int32_t t = 0; t < count; t++) {
        ost_reuse_lookup_tile(lookup, ids, tile + t, out + t * OST_LOOKUP_TILE);
    }
}
#else
OST_INLINE void add_tiles(const ost_lookup *lookup, const void *ids, int32_t tile, int32_t count, int8_t *out)
{
    for (int32_t t = 0; t < count; t++) {
        ost_reuse_lookup_tile(lookup, ids, tile + t, out + t * OST_LOOKUP_TILE);
    }
}
#endif

OST_PHASE_FUNCTION void ost_reuse_lookup(const ost_lookup *lookup, const void *ids, int8_t *out)
{
    if (lookup->wide) {
        ost_reuse_lookup_wide(lookup, ids, out);
        return;
    }
    const int32_t full = lookup->channels / OST_LOOKUP_TILE;
    int32_t count = lookup->alike;
    for (int32_t tile = 0; tile < full; tile += count) {
        if (tile > 0) {
            count = ost_lookup_alike(lookup, tile);
        }
        add_tiles(lookup, ids, tile, count, out + tile * OST_LOOKUP_TILE);
    }
    if (full < lookup->tiles) {
        int8_t buffer[OST_LOOKUP_TILE];
        add_tiles(lookup, ids, full, 1, buffer);
        ost_copy_bytes(out + full * OST_LOOKUP_TILE, buffer, lookup->channels % OST_LOOKUP_TILE);
    }
}
