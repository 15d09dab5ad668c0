/* Recovering of compiled scope: outputs are sums of table rows, 16 channels at a time.
 *
 * The ids of one output lie one behind the other in table-row order, times 16. The table is tiles x R x 2^H x 16. */
#ifndef OST_REUSE_LOOKUP_H
#define OST_REUSE_LOOKUP_H

#include "../support/ost_simd.h"

#define OST_LOOKUP_TILE 16
#define OST_LOOKUP_NARROW_HASHES 4 /* up to this H, ids times 16 are uint8, above uint16 */

OST_INLINE int32_t ost_lookup_id_bytes(int32_t hashes)
{
    return hashes <= OST_LOOKUP_NARROW_HASHES ? 1 : 2;
}

typedef struct {
    int32_t hashes; /* H */
    int32_t rows;   /* R */
    int32_t tiles;
    int32_t channels; /* M */
    const int8_t *table;
    const int16_t *offset; /* tiles x 16, channels in the order 0 2 1 3 of every 4 */
    const uint8_t *paired; /* tiles */
    int32_t fraction_bits;
    const int32_t *wide; /* tiles x 16, in order: sums are int32; NULL: int16 */
    int32_t alike; /* ost_lookup_alike of tile 0 */
} ost_lookup;

/* Full tiles from `tile` on that are all paired or all not: they are one call of the look-up. */
OST_INLINE int32_t ost_lookup_alike(const ost_lookup *lookup, int32_t tile)
{
    int32_t count = 1;
    while ((tile + count + 1) * OST_LOOKUP_TILE <= lookup->channels &&
           lookup->paired[tile + count] == lookup->paired[tile]) {
        count++;
    }
    return count;
}

/* Bytes behind ids (of a map, of a window, of a run of outputs) that may be read or written. */
#define OST_LOOKUP_SLACK 16

/* All channels of one output position. */
void ost_reuse_lookup(const ost_lookup *lookup, const void *ids, int8_t *out);

#endif /* OST_REUSE_LOOKUP_H */
