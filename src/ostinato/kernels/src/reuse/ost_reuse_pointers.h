/* Compiled scope by addresses: the map holds, for each pixel and channel block, where its table rows lie.
 *
 * A layer's kernel is generated code: two functions with its sizes (ost_reuse_pointers_map_asm.h, _sum_asm.h), and the
 * function of the public interface, which hands them to ost_reuse_pointers_run. Without DSP instructions they are not
 * there, and plain C with the same bits reads its sizes from the parameters. */
#ifndef OST_REUSE_POINTERS_H
#define OST_REUSE_POINTERS_H

#include "ost_reuse.h"
#include "../support/ost_simd.h"

/* What lies between the rows of two ids: 16 channels of every kernel position. */
OST_INLINE int32_t ost_pointer_id_bytes(const ost_window *window)
{
    return window->kernel.height * window->kernel.width * 16;
}

/* Slices of a pixel of the map. */
OST_INLINE int32_t ost_pointer_blocks(const ost_reuse_pointers_s8_params *p)
{
    return p->map.window.input.channels / p->length;
}

/* Pixels of a row of the map, with its padding. */
OST_INLINE int32_t ost_pointer_map_width(const ost_window *w)
{
    return w->input.width + 2 * w->padding.width;
}

/* From the table rows of one block to the next one's. */
OST_INLINE int32_t ost_pointer_block_bytes(const ost_reuse_pointers_s8_params *p)
{
    return ost_pointer_id_bytes(&p->map.window) << p->hash.hashes;
}

#if OST_HAS_DSP

/* Pixels to addresses. The assembly knows the order of the fields of both structs. */
typedef struct {
    const int8_t *pixels;
    const int32_t *offsets; /* of all blocks: ost_reuse_hash */
    const int16_t *vectors;
    uint32_t *map;
    const int8_t *table; /* of the first block */
    int32_t count;       /* at least 1: pixels for a tree of hyperplanes, pairs of pixels otherwise */
} ost_pointer_map;

/* Addresses to 16 channels of all outputs. */
typedef struct {
    const uint32_t *map;
    const int16_t *offset;
    int8_t *out;
    int32_t stride;    /* bytes from one output to the next */
    int32_t row_bytes; /* from one row of outputs to the next */
    int32_t pooled;    /* of pooled outputs: 0 where none is stored yet */
} ost_pointer_sum;

typedef struct {
    void (*map)(const ost_pointer_map *map);
    void (*sum)(const ost_pointer_sum *sum);
} ost_pointer_functions;

void ost_reuse_move_pointers(uint32_t *map, int32_t eights, int32_t step);

#else

typedef struct {
    int unused;
} ost_pointer_functions;

#endif

ost_status ost_reuse_pointers_run(const ost_reuse_pointers_s8_params *params, const ost_pointer_functions *functions,
                                  const ost_scratch *scratch, const int8_t *in, int8_t *out);
int32_t ost_reuse_pointers_scratch_bytes(const ost_reuse_pointers_s8_params *params);

#endif /* OST_REUSE_POINTERS_H */
