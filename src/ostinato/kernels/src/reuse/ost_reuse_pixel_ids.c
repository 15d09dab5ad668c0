/* Ids of pixels' channel blocks (ost_reuse_pixel_ids.h). */
#include "ost_reuse_pixel_ids.h"

#include "../support/ost_window.h"
#include "ost_reuse_hash.h"
#include "ost_reuse_image_scratch.h"

/* The id of block b of a pixel that is padding, at all pixels of the map. */
OST_INLINE void map_padding(const ost_reuse_image_s8_params *p, int32_t b, int8_t *vector, uint8_t *map)
{
    const int32_t blocks = blocks_of(p), count = padded_pixels(&p->window), bytes = id_bytes(p);
    const ost_hash_run run = {vector, 0, 1, map + b * bytes, 0, bytes, 0};
    ost_fill_bytes(vector, (int8_t)p->input_zero_point, p->hash.words * 4);
    ost_reuse_hash_run(&p->hash, b, &run);
    const int32_t step = blocks * bytes;
    uint8_t *id = map + b * bytes;
    for (int32_t n = 1; n < count; n++, id += step) {
        id[step] = id[0];
        id[step + bytes - 1] = id[bytes - 1];
    }
}

/* The ids of every pixel; x is the padded input, or the input if padding is filled in. */
OST_PHASE_FUNCTION void ost_reuse_map_pixels(const ost_reuse_image_s8_params *p, const int8_t *x, int8_t *vector,
                                             uint8_t *map)
{
    const ost_window *w = &p->window;
    const int32_t blocks = blocks_of(p), count = padded_pixels(w), bytes = id_bytes(p);
    for (int32_t b = 0; b < blocks && fills_padding(p); b++) {
        map_padding(p, b, vector, map);
        for (int32_t y = 0; y < w->input.height; y++) {
            const int32_t pixel = (y + w->padding.height) * padded_width(w) + w->padding.width;
            const ost_hash_run run = {x + y * w->input.width * w->input.channels + b * p->hash.words * 4,
                                      w->input.channels,
                                      w->input.width,
                                      map + (pixel * blocks + b) * bytes,
                                      blocks * bytes,
                                      bytes,
                                      0};
            ost_reuse_hash_run(&p->hash, b, &run);
        }
    }
    for (int32_t b = 0; b < blocks && !fills_padding(p); b++) {
        const ost_hash_run run = {
            x + b * p->hash.words * 4, p->window.input.channels, count, map + b * bytes, blocks * bytes, bytes, 0};
        ost_reuse_hash_run(&p->hash, b, &run);
    }
}

/* Ids of slice s at `count` output positions from (oy, ox), out of the map. */
OST_PHASE_FUNCTION void ost_reuse_copy_ids(const ost_reuse_image_s8_params *p, const uint8_t *map, int32_t s, int32_t oy,
                                           int32_t ox, int32_t count, uint8_t *ids, int32_t id_step)
{
    const ost_window *w = &p->window;
    const int32_t blocks = blocks_of(p), step = w->stride.width * blocks;
    /* A slice starts at a multiple of L in the padded input, which is its id's place in the map. */
    const int32_t first = p->slices.starts[s] / (p->hash.words * 4) +
                          (oy * w->stride.height * padded_width(w) + ox * w->stride.width) * blocks;
    if (is_hashed(p)) {
        const uint16_t *from = (const uint16_t *)(const void *)map + first;
        uint16_t *to = (uint16_t *)(void *)ids;
        for (int32_t n = 0; n < count; n++, from += step) {
            to[n] = *from;
        }
        return;
    }
    const uint8_t *from = map + first;
    for (int32_t n = 0; n < count; n++, from += step, ids += id_step) {
        *ids = *from;
    }
}
