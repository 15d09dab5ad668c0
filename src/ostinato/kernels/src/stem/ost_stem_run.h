/* A stem, one row of outputs after the other: what `ost_stem_s8` and `ost_stem_pooled_s8` have in common. */
#ifndef OST_STEM_RUN_H
#define OST_STEM_RUN_H

#include "ost_stem_sum.h"

/* The kernel's scratch, in this order, every part aligned to 8 bytes, and how far the input has been read. */
typedef struct {
    int16_t *ring;
    int16_t *columns;
    uint32_t *map;
    int32_t bytes;   /* of the parts above */
    int32_t rotated; /* the next row of the padded input that is not in the ring */
} ost_stem_buffers;

int ost_stem_arguments_are_valid(const ost_stem_s8_params *params, const int8_t *in, const int8_t *out);

/* Where the buffers lie from `base` on; null: their size only. */
ost_stem_buffers ost_stem_lay_out(const ost_stem_s8_params *params, void *base);

/* Row `oy` of the outputs, which is not above the row of the call before; `sum` null: sums in C. */
void ost_stem_output_row(const ost_stem_s8_params *params, ost_stem_sum_function sum, ost_stem_buffers *buffers,
                         const int8_t *in, int32_t oy, int8_t *out);

/* The kernels of a layer. */
ost_status ost_stem_run(const ost_stem_s8_params *params, ost_stem_sum_function sum, const ost_scratch *scratch,
                        const int8_t *in, int8_t *out);
ost_status ost_stem_pooled_run(const ost_stem_pooled_s8_params *params, ost_stem_sum_function sum,
                               const ost_scratch *scratch, const int8_t *in, int8_t *out);

#endif /* OST_STEM_RUN_H */
