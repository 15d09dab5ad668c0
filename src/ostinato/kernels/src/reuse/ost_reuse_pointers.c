/* Reuse convolution in compiled scope, table rows by their addresses (ost_reuse_pointers.h). */
#include "ost_reuse_pointers.h"

#include "../support/ost_window.h"
#include "ost_reuse_fixed.h"
#include "ost_reuse_hash.h"
#include "ost_reuse_pool.h"
#include "ost_reuse_slices.h"

#define TILE 16

/* Entries of the map, rounded up to what is moved at a time. */
OST_INLINE int32_t map_entries(const ost_reuse_pointers_s8_params *p)
{
    const ost_window *w = &p->map.window;
    const int32_t pixels = (w->input.height + 2 * w->padding.height) * ost_pointer_map_width(w);
    return ost_round_up(pixels * ost_pointer_blocks(p), 8);
}

OST_INLINE uint32_t first_address(const ost_reuse_pointers_s8_params *p)
{
#if OST_HAS_DSP
    return (uint32_t)(uintptr_t)p->table;
#else
    (void)p;
    return 0;
#endif
}

/* `pixels` pixels that are padding. */
OST_INLINE uint32_t *write_padding(const ost_reuse_pointers_s8_params *p, uint32_t *to, int32_t pixels)
{
    const int32_t blocks = ost_pointer_blocks(p), step = ost_pointer_block_bytes(p);
    const int32_t each = ost_pointer_id_bytes(&p->map.window);
    for (; pixels > 0; pixels--) {
        uint32_t table = first_address(p);
        for (int32_t b = 0; b < blocks; b++, table += (uint32_t)step) {
            *to++ = table + (uint32_t)(p->padding_ids[b] * each);
        }
    }
    return to;
}

/* Entries of the map between the windows of two rows of outputs. */
OST_INLINE int32_t row_step(const ost_reuse_pointers_s8_params *p)
{
    return p->map.window.stride.height * ost_pointer_map_width(&p->map.window) * ost_pointer_blocks(p);
}

OST_PHASE_FUNCTION static void ost_reuse_pad_pointers(const ost_reuse_pointers_s8_params *p, uint32_t *map)
{
    const ost_window *w = &p->map.window;
    const int32_t inside = w->input.width * ost_pointer_blocks(p), edge = w->padding.height * ost_pointer_map_width(w);
    map = write_padding(p, map, edge);
    for (int32_t y = 0; y < w->input.height; y++) {
        map = write_padding(p, map, w->padding.width) + inside;
        map = write_padding(p, map, w->padding.width);
    }
    write_padding(p, map, edge);
}

/* Bytes that mapping a pixel may read: whole words of its last slice. */
OST_INLINE int32_t pixel_bytes(const ost_reuse_pointers_s8_params *p)
{
    return p->map.window.input.channels - p->length + p->hash.words * 4;
}

/* Pixels in a row: one call maps `each` of them at least, and reads whole words of their slices. */
typedef struct {
    const ost_pointer_functions *functions;
    int32_t each;
    const int8_t *end; /* of the input, which is never read beyond */
    int8_t *tail;
} row_mapping;

/* Of `width` pixels, those whose whole words end before the input does. */
OST_INLINE int32_t whole_pixels(const ost_reuse_pointers_s8_params *p, const row_mapping *m, const int8_t *pixels,
                                int32_t width)
{
    if (p->length % 4 == 0 || p->hash.tree == OST_HASH_THRESHOLDS) {
        return width;
    }
    const int32_t room = (int32_t)(m->end - pixels) - pixel_bytes(p);
    const int32_t whole = room < 0 ? 0 : room / p->map.pixel_step + 1;
    return whole < width ? whole : width;
}

#if OST_HAS_DSP

OST_INLINE void map_pixels(const ost_reuse_pointers_s8_params *p, const row_mapping *m, const int8_t *pixels,
                           int32_t calls, uint32_t *map)
{
    const ost_pointer_map row = {pixels, p->hash.offsets, p->hash.vectors, map, p->table, calls};
    m->functions->map(&row);
}

/* `width` neighbouring pixels. What is left of a pair is mapped together with the pixel before, once more; pixels at the
 * input's end are mapped from a copy. */
OST_INLINE void map_row(const ost_reuse_pointers_s8_params *p, const row_mapping *m, const int8_t *pixels,
                        int32_t width, uint32_t *map)
{
    const int32_t step = p->map.pixel_step, blocks = ost_pointer_blocks(p), whole = whole_pixels(p, m, pixels, width);
    if (whole >= m->each) {
        map_pixels(p, m, pixels, whole / m->each, map);
    }
    if (whole % m->each != 0 && whole > 1) {
        map_pixels(p, m, pixels + (whole - 2) * step, 1, map + (whole - 2) * blocks);
    }
    for (int32_t x = width; x > whole; x -= m->each) {
        const int32_t first = x > m->each ? x - m->each : 0;
        const int8_t *from = pixels + first * step;
        const int32_t bytes = pixel_bytes(p) + (m->each - 1) * step, left = (int32_t)(m->end - from);
        ost_copy_bytes(m->tail, from, left < bytes ? left : bytes);
        map_pixels(p, m, m->tail, 1, map + first * blocks);
    }
}

OST_PHASE_FUNCTION static void ost_reuse_sum_tiles(const ost_reuse_pointers_s8_params *p,
                                                   const ost_pointer_functions *functions, uint32_t *map, int8_t *out)
{
    const int32_t tiles = p->map.window.output.channels / TILE;
    const int32_t row = row_step(p), column = p->map.window.stride.width * ost_pointer_blocks(p);
    for (int32_t tile = 0; tile < tiles; tile++) {
        ost_pointer_sum sum = {map, p->offset + tile * TILE, out + tile * TILE, p->out_stride,
                               p->map.window.output.width / p->pool.width * p->out_stride, 0};
        if (tile > 0) {
            ost_reuse_move_pointers(map, map_entries(p) / 8, ost_pointer_blocks(p) * ost_pointer_block_bytes(p));
        }
        for (int32_t y = 0; y < p->pool.height; y++) { /* of all pooled pixels, one output after the other */
            for (int32_t x = 0; x < p->pool.width; x++) {
                sum.map = map + y * row + x * column;
                sum.pooled = y + x;
                functions->sum(&sum);
            }
        }
    }
}

#else

OST_INLINE void map_pixels(const ost_reuse_pointers_s8_params *p, const int8_t *pixels, int32_t width, uint32_t *map)
{
    const int32_t blocks = ost_pointer_blocks(p), id_bytes = (int32_t)sizeof(uint32_t);
    const uint32_t step = (uint32_t)ost_pointer_block_bytes(p), each = (uint32_t)ost_pointer_id_bytes(&p->map.window);
    for (int32_t b = 0; b < blocks; b++) {
        const ost_hash_run run = {pixels + b * p->length, p->map.pixel_step, width,
                                  (uint8_t *)(map + b),   blocks * id_bytes, 2,     0};
        ost_reuse_hash_run(&p->hash, b, &run);
        for (int32_t x = 0; x < width; x++) {
            const uint32_t id = *(uint16_t *)(void *)(map + x * blocks + b);
            map[x * blocks + b] = (uint32_t)b * step + id * each;
        }
    }
}

/* Pixels at the input's end are mapped from a copy. */
OST_INLINE void map_row(const ost_reuse_pointers_s8_params *p, const row_mapping *m, const int8_t *pixels,
                        int32_t width, uint32_t *map)
{
    const int32_t whole = whole_pixels(p, m, pixels, width);
    map_pixels(p, pixels, whole, map);
    for (int32_t x = whole; x < width; x++) {
        const int8_t *from = pixels + x * p->map.pixel_step;
        const int32_t left = (int32_t)(m->end - from);
        ost_copy_bytes(m->tail, from, left < pixel_bytes(p) ? left : pixel_bytes(p));
        map_pixels(p, m->tail, 1, map + x * ost_pointer_blocks(p));
    }
}

/* The table rows of one output, added to 16 channels. */
OST_INLINE void sum_rows(const ost_reuse_pointers_s8_params *p, const uint32_t *corner, const int8_t *table,
                         int16_t *sums)
{
    const ost_window *w = &p->map.window;
    const int32_t blocks = ost_pointer_blocks(p);
    for (int32_t kh = 0; kh < w->kernel.height; kh++) {
        for (int32_t kw = 0; kw < w->kernel.width; kw++, table += TILE) {
            const uint32_t *at =
                corner + (kh * w->dilation.height * ost_pointer_map_width(w) + kw * w->dilation.width) * blocks;
            for (int32_t b = 0; b < blocks; b++) {
                for (int32_t k = 0; k < TILE; k++) {
                    sums[k] = (int16_t)(sums[k] + table[at[b] + (uint32_t)k]);
                }
            }
        }
    }
}

OST_PHASE_FUNCTION static void ost_reuse_sum_tiles(const ost_reuse_pointers_s8_params *p,
                                                   const ost_pointer_functions *functions, const uint32_t *map,
                                                   int8_t *out)
{
    const ost_window *w = &p->map.window;
    const int32_t step = w->stride.width * ost_pointer_blocks(p), width = w->output.width / p->pool.width;
    const ost_size2 part = {w->output.height - w->output.height % p->pool.height, width * p->pool.width};
    (void)functions;
    for (int32_t m = 0; m < w->output.channels; m += TILE) {
        const int8_t *table = p->table + m / TILE * ost_pointer_blocks(p) * ost_pointer_block_bytes(p);
        const int16_t *offset = p->offset + m;
        for (int32_t oy = 0; oy < part.height; oy++) {
            const uint32_t *corner = map + oy * row_step(p);
            for (int32_t ox = 0; ox < part.width; ox++, corner += step) {
                int8_t *to = out + m + (oy / p->pool.height * width + ox / p->pool.width) * p->out_stride;
                int8_t made[TILE];
                int16_t sums[TILE];
                for (int32_t k = 0; k < TILE; k += 4) { /* offsets are in the order 0 2 1 3 */
                    sums[k] = offset[k];
                    sums[k + 1] = offset[k + 2];
                    sums[k + 2] = offset[k + 1];
                    sums[k + 3] = offset[k + 3];
                }
                sum_rows(p, corner, table, sums);
                for (int32_t k = 0; k < TILE; k++) {
                    made[k] = ost_saturate_s8(sums[k] >> p->fraction_bits);
                }
                if (oy % p->pool.height == 0 && ox % p->pool.width == 0) {
                    ost_copy_bytes(to, made, TILE);
                } else {
                    ost_max_bytes(to, made, TILE);
                }
            }
        }
    }
}

#endif

OST_PHASE_FUNCTION static void ost_reuse_map_pointers(const ost_reuse_pointers_s8_params *p,
                                                      const row_mapping *m, const int8_t *in, uint32_t *map)
{
    const ost_window *w = &p->map.window;
    /* Where pixels of neighbouring rows follow each other in input and map, all rows are one. */
    const int one_row = w->padding.width == 0 && p->map.row_step == w->input.width * p->map.pixel_step;
    const int32_t rows = one_row ? 1 : w->input.height;
    const int32_t width = w->input.height * w->input.width / rows;
    map += (w->padding.height * ost_pointer_map_width(w) + w->padding.width) * ost_pointer_blocks(p);
    for (int32_t y = 0; y < rows; y++) {
        map_row(p, m, in, width, map);
        in += p->map.row_step;
        map += ost_pointer_map_width(w) * ost_pointer_blocks(p);
    }
}

OST_INLINE int arguments_are_valid(const ost_reuse_pointers_s8_params *p, const int8_t *in, const int8_t *out)
{
    return p && in && out && p->table && p->offset && p->padding_ids && p->hash.offsets && p->hash.vectors &&
           ost_window_is_valid(&p->window) && p->hash.hashes >= 1 && p->hash.hashes <= 12 && p->length >= 1 &&
           ost_reuse_map_is_valid(&p->map, &p->window) && p->map.window.input.channels % p->length == 0 &&
           p->hash.words == (p->length + 3) / 4 && p->map.window.output.channels % TILE == 0 &&
           p->map.window.input.width >= 2 && p->fraction_bits >= 1 && p->fraction_bits <= 7 &&
           p->out_stride >= p->map.window.output.channels && ost_pool_is_valid(&p->pool, &p->map.window.output);
}

/* Of the input's copy, behind the map. */
OST_INLINE int32_t padded_bytes(const ost_reuse_pointers_s8_params *p)
{
    return p->map.padded ? ost_round_up(ost_reuse_padded_bytes(&p->window), 8) : 0;
}

/* Of a copy of two pixels, behind that. */
OST_INLINE int32_t tail_bytes(const ost_reuse_pointers_s8_params *p)
{
    const int whole = p->length % 4 == 0 || p->hash.tree == OST_HASH_THRESHOLDS;
    return whole ? 0 : ost_round_up(p->map.pixel_step + pixel_bytes(p), 8);
}

int32_t ost_reuse_pointers_scratch_bytes(const ost_reuse_pointers_s8_params *params)
{
    return map_entries(params) * (int32_t)sizeof(uint32_t) + padded_bytes(params) + tail_bytes(params);
}

ost_status ost_reuse_pointers_run(const ost_reuse_pointers_s8_params *params, const ost_pointer_functions *functions,
                                  const ost_scratch *scratch, const int8_t *in, int8_t *out)
{
    if (!arguments_are_valid(params, in, out)) {
        return OST_BAD_ARGUMENT;
    }
    if (!scratch || !scratch->data || scratch->bytes < ost_reuse_pointers_scratch_bytes(params)) {
        return OST_NO_SCRATCH;
    }
    uint32_t *map = (uint32_t *)scratch->data;
    int8_t *padded = (int8_t *)(map + map_entries(params));
    const ost_shape *size = &params->window.input;
    row_mapping mapping = {functions, params->hash.tree == 1 ? 1 : 2, in + size->height * size->width * size->channels,
                           padded + padded_bytes(params)};
    if (params->map.padded) {
        ost_reuse_pad_input(&params->window, params->input_zero_point, in, padded);
        in = padded;
        mapping.end = padded + ost_reuse_padded_bytes(&params->window);
    }
    if (ost_reuse_is_padded(&params->map.window)) {
        ost_reuse_pad_pointers(params, map);
    }
    ost_reuse_map_pointers(params, &mapping, in, map);
    ost_reuse_sum_tiles(params, functions, map, out);
    return OST_OK;
}
