/* Ids of compiled scope (ost_reuse_ids.h). */
#include "ost_reuse_ids.h"

#include "../support/ost_window.h"
#include "ost_reuse_hash.h"
#include "ost_reuse_lookup.h"
#include "ost_reuse_slices.h"

#define ID_SHIFT 4 /* ids are kept times 16 */

OST_INLINE int32_t blocks_of(const ost_reuse_compiled_s8_params *p)
{
    return p->map.window.input.channels / p->length;
}

/* `pixels` pixels that are padding. */
OST_INLINE uint8_t *write_padding(const ost_reuse_compiled_s8_params *p, uint8_t *to, int32_t pixels)
{
    const int32_t blocks = blocks_of(p), id_bytes = ost_lookup_id_bytes(p->hash.hashes);
    for (; pixels > 0; pixels--) {
        for (int32_t b = 0; b < blocks; b++, to += id_bytes) {
            if (id_bytes == 1) {
                *to = (uint8_t)p->padding_ids[b];
            } else {
                *(uint16_t *)(void *)to = p->padding_ids[b];
            }
        }
    }
    return to;
}

OST_PHASE_FUNCTION static void ost_reuse_pad_ids(const ost_reuse_compiled_s8_params *p, uint8_t *map)
{
    const ost_window *w = &p->map.window;
    const int32_t inside = w->input.width * blocks_of(p) * ost_lookup_id_bytes(p->hash.hashes);
    const int32_t edge = w->padding.height * (w->input.width + 2 * w->padding.width);
    map = write_padding(p, map, edge);
    for (int32_t y = 0; y < w->input.height; y++) {
        map = write_padding(p, map, w->padding.width) + inside;
        map = write_padding(p, map, w->padding.width);
    }
    write_padding(p, map, edge);
}

OST_PHASE_FUNCTION static void ost_reuse_copy_tail(const int8_t *from, int32_t length, int32_t padded, int8_t *tail)
{
    ost_copy_bytes(tail, from, length);
    ost_fill_bytes(tail + length, 0, padded - length);
}

/* One channel block of `count` pixels in a row; map is the first pixel's place in the map. */
OST_INLINE void hash_pixels(const ost_reuse_compiled_s8_params *p, int32_t block, const int8_t *vectors,
                            int32_t count, uint8_t *map)
{
    const int32_t id_bytes = ost_lookup_id_bytes(p->hash.hashes);
    const ost_hash_run run = {vectors,
                              p->map.pixel_step,
                              count,
                              map + block * id_bytes,
                              blocks_of(p) * id_bytes,
                              id_bytes,
                              ID_SHIFT};
    ost_reuse_hash_run(&p->hash, block, &run);
}

/* Pixels, of `count` from `left` elements before the input's end, whose whole words of a block stay within the input. */
OST_INLINE int32_t whole_pixels(const ost_reuse_compiled_s8_params *p, int32_t block, int32_t left, int32_t count)
{
    const int32_t room = left - block * p->length - p->hash.words * 4;
    const int32_t whole = room < 0 ? 0 : room / p->map.pixel_step + 1;
    return whole < count ? whole : count;
}

/* Block b of `width` pixels in a row, of which `left` elements of the input are left. */
OST_INLINE void hash_row(const ost_reuse_compiled_s8_params *p, int32_t b, const int8_t *row, int32_t left,
                         int32_t width, int8_t *tail, uint8_t *to)
{
    const int32_t step = p->map.pixel_step, pixel_bytes = blocks_of(p) * ost_lookup_id_bytes(p->hash.hashes);
    const int32_t whole = whole_pixels(p, b, left, width);
    row += b * p->length;
    hash_pixels(p, b, row, whole, to);
    for (int32_t x = whole; x < width; x++) {
        ost_reuse_copy_tail(row + x * step, p->length, p->hash.words * 4, tail);
        hash_pixels(p, b, tail, 1, to + x * pixel_bytes);
    }
}

OST_PHASE_FUNCTION void ost_reuse_map_ids(const ost_reuse_compiled_s8_params *p, const int8_t *in, int8_t *tail,
                                          uint8_t *map)
{
    const ost_window *w = &p->map.window;
    const int32_t pixel_bytes = blocks_of(p) * ost_lookup_id_bytes(p->hash.hashes);
    const int32_t padded_width = w->input.width + 2 * w->padding.width;
    const int32_t end = p->map.padded ? ost_reuse_padded_bytes(&p->window)
                                      : p->window.input.height * p->window.input.width * p->window.input.channels;
    /* Where pixels of neighbouring rows follow each other in input and map, all rows are one. */
    const int one_row = w->padding.width == 0 && p->map.row_step == w->input.width * p->map.pixel_step;
    const int32_t height = one_row ? 1 : w->input.height;
    const int32_t width = one_row ? w->input.height * w->input.width : w->input.width;
    uint8_t *first = map + (w->padding.height * padded_width + w->padding.width) * pixel_bytes;
    if (ost_reuse_is_padded(w)) {
        ost_reuse_pad_ids(p, map);
    }
    for (int32_t b = 0; b < blocks_of(p); b++) {
        for (int32_t y = 0; y < height; y++) {
            const int32_t before = y * p->map.row_step;
            hash_row(p, b, in + before, end - before, width, tail, first + y * padded_width * pixel_bytes);
        }
    }
}

int32_t ost_reuse_map_row_bytes(const ost_reuse_compiled_s8_params *p)
{
    const ost_window *w = &p->map.window;
    return (w->input.width + 2 * w->padding.width) * blocks_of(p) * ost_lookup_id_bytes(p->hash.hashes);
}

OST_PHASE_FUNCTION void ost_reuse_map_rows(const ost_reuse_compiled_s8_params *p, const int8_t *in, int32_t first,
                                           int32_t end, int8_t *row, int8_t *tail, uint8_t *map)
{
    const ost_window *w = &p->map.window;
    const ost_shape *size = &p->window.input;
    const int32_t bytes = ost_reuse_map_row_bytes(p), side = w->padding.width;
    const int32_t pixel_bytes = blocks_of(p) * ost_lookup_id_bytes(p->hash.hashes);
    for (int32_t r = first; r < end; r++, map += bytes) {
        const int32_t y = r - w->padding.height;
        if (y < 0 || y >= w->input.height) {
            write_padding(p, map, w->input.width + 2 * side);
            continue;
        }
        const int8_t *from = in + y * p->map.row_step;
        int32_t left = size->height * size->width * size->channels - y * p->map.row_step;
        if (p->map.padded) {
            ost_reuse_pad_rows(&p->window, p->input_zero_point, in, y, 1, row);
            from = row;
            left = p->map.row_step;
        }
        write_padding(p, map, side);
        write_padding(p, map + (side + w->input.width) * pixel_bytes, side);
        for (int32_t b = 0; b < blocks_of(p); b++) {
            hash_row(p, b, from, left, w->input.width, tail, map + side * pixel_bytes);
        }
    }
}

ost_id_window ost_reuse_id_window(const ost_reuse_compiled_s8_params *p)
{
    const ost_window *w = &p->map.window;
    const int32_t pixel_bytes = blocks_of(p) * ost_lookup_id_bytes(p->hash.hashes);
    const int32_t row = (w->input.width + 2 * w->padding.width) * pixel_bytes;
    const int32_t together = w->dilation.width == 1 ? w->kernel.width : 1; /* taps that lie side by side */
    ost_id_window window;
    window.rows = w->kernel.height;
    window.row_step = w->dilation.height * row;
    window.parts = w->kernel.width / together;
    window.part_step = w->dilation.width * pixel_bytes;
    window.part_bytes = together * pixel_bytes;
    window.step_y = w->stride.height * row;
    window.step_x = w->stride.width * pixel_bytes;
    return window;
}

#if !OST_HAS_DSP
OST_PHASE_FUNCTION void ost_reuse_window_ids(const ost_id_window *window, const uint8_t *corner, uint8_t *ids)
{
    for (int32_t row = 0; row < window->rows; row++, corner += window->row_step) {
        const uint8_t *from = corner;
        for (int32_t part = 0; part < window->parts; part++, from += window->part_step, ids += window->part_bytes) {
            ost_copy_bytes((int8_t *)ids, (const int8_t *)from, window->part_bytes);
        }
    }
}
#endif

OST_PHASE_FUNCTION void ost_reuse_row_ids(const ost_reuse_compiled_s8_params *p, const int8_t *x, int32_t oy, int32_t ox, int32_t count,
                       int8_t *gather, uint8_t *ids)
{
    const int32_t id_bytes = ost_lookup_id_bytes(p->hash.hashes), words = p->hash.words;
    for (int32_t s = 0; s < p->slices.count; s++) {
        const ost_slice_run slice = ost_reuse_slice_run(&p->window, &p->slices, words, s, x, oy, ox, count, gather);
        const ost_hash_run run = {slice.vectors, slice.step, count, ids + s * id_bytes, p->slices.count * id_bytes,
                                  id_bytes, ID_SHIFT};
        ost_reuse_hash_run(&p->hash, s, &run);
    }
}
