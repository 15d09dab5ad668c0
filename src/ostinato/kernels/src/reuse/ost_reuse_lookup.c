/* Plain-C look-up (ost_reuse_lookup.h), and what is left of a tile that has less than 16 channels. */
#include "ost_reuse_lookup.h"

#include "../support/ost_window.h"
#include "ost_reuse_fixed.h"

#if !OST_HAS_DSP
OST_INLINE int32_t entry(const ost_lookup *lookup, const void *ids, int32_t row)
{
    return ost_lookup_id_bytes(lookup->hashes) == 1 ? ((const uint8_t *)ids)[row] : ((const uint16_t *)ids)[row];
}

OST_PHASE_FUNCTION static void ost_reuse_lookup_tile(const ost_lookup *lookup, const void *ids, int32_t tile,
                                                     int8_t *out)
{
    const int32_t row_bytes = OST_LOOKUP_TILE << lookup->hashes;
    const int16_t *offset = lookup->offset + tile * OST_LOOKUP_TILE;
    const int8_t *table = lookup->table + tile * lookup->rows * row_bytes;
    int16_t sums[OST_LOOKUP_TILE];
    for (int32_t k = 0; k < OST_LOOKUP_TILE; k += 4) {
        sums[k] = offset[k];
        sums[k + 1] = offset[k + 2];
        sums[k + 2] = offset[k + 1];
        sums[k + 3] = offset[k + 3];
    }
    for (int32_t r = 0; r < lookup->rows; r++, table += row_bytes) {
        const int8_t *from = table + entry(lookup, ids, r);
        for (int32_t k = 0; k < OST_LOOKUP_TILE; k++) {
            sums[k] = (int16_t)(sums[k] + from[k]);
        }
    }
    for (int32_t k = 0; k < OST_LOOKUP_TILE; k++) {
        out[k] = ost_saturate_s8(sums[k] >> lookup->fraction_bits);
    }
}
#endif

OST_PHASE_FUNCTION void ost_reuse_lookup(const ost_lookup *lookup, const void *ids, int8_t *out)
{
    const int32_t full = lookup->channels / OST_LOOKUP_TILE;
    for (int32_t tile = 0; tile < full; tile++) {
        ost_reuse_lookup_tile(lookup, ids, tile, out + tile * OST_LOOKUP_TILE);
    }
    if (full < lookup->tiles) {
        int8_t buffer[OST_LOOKUP_TILE];
        ost_reuse_lookup_tile(lookup, ids, full, buffer);
        ost_copy_bytes(out + full * OST_LOOKUP_TILE, buffer, lookup->channels % OST_LOOKUP_TILE);
    }
}
