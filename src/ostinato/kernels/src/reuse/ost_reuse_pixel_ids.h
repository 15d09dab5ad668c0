/* Image scope where all kernel positions share their hashes: ids are found once for each channel block of a padded input
 * pixel, and copied to the windows that have it. */
#ifndef OST_REUSE_PIXEL_IDS_H
#define OST_REUSE_PIXEL_IDS_H

#include "ost_reuse.h"
#include "../support/ost_simd.h"

/* Every slice is a channel block of a pixel. */
OST_INLINE int ost_reuse_slices_are_blocks(const ost_reuse_image_s8_params *p)
{
    const int32_t length = p->hash.words * 4;
    for (int32_t s = 0; s < p->slices.count; s++) {
        if (p->slices.starts[s] < 0 || p->slices.starts[s] % length != 0) {
            return 0;
        }
    }
    return p->block_rows == 1 && p->window.input.channels % length == 0;
}

/* The ids of every pixel; x is the padded input, or the input if padding is filled in; `vector` has room for one. */
void ost_reuse_map_pixels(const ost_reuse_image_s8_params *p, const int8_t *x, int8_t *vector, uint8_t *map);

/* Ids of slice s at `count` output positions from (oy, ox), out of the map. */
void ost_reuse_copy_ids(const ost_reuse_image_s8_params *p, const uint8_t *map, int32_t s, int32_t oy, int32_t ox,
                        int32_t count, uint8_t *ids, int32_t id_step);

#endif /* OST_REUSE_PIXEL_IDS_H */
