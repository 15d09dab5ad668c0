/* The best dense int8 convolution we know for a Cortex-M4: weights of two channels multiplied by one instruction
 * (ost_conv_s8_dense_gemm.h), zero point folded into the bias, 4 channels x 2 pixels in registers, inner loop in assembly. */
#include "../support/ost_requantize.h"
#include "../support/ost_simd.h"
#include "ost_conv_s8_dense_run.h"

OST_INLINE int32_t padded_channels(const ost_window *w)
{
    return ost_round_up(w->output.channels, 4);
}

OST_INLINE int32_t parts(const ost_conv_s8_dense_params *params)
{
    const int32_t blocks = ost_dense_columns(&params->window) / OST_DENSE_BLOCK;
    return (blocks + params->part_blocks - 1) / params->part_blocks;
}

/* Blocks that there are not in the first pass of the product. */
OST_INLINE int32_t skipped_blocks(int32_t blocks)
{
    return ost_round_up(blocks, OST_DENSE_PASS) - blocks;
}

/* Pairs of columns in the first block that are padding only. Of four columns, (0, 2) and (1, 3) are pairs: three in front
 * leave the first pair empty too. */
OST_INLINE int32_t skipped_pairs(const ost_window *w)
{
    const int32_t front = ost_dense_columns(w) - ost_window_columns(w);
    return front / 4 * 2 + (front % 4 == 3);
}

/* The sums of one or two pixels to int8, where the product has not done it; those of all parts are added up first. */
OST_PHASE_FUNCTION static void ost_conv_s8_dense_requantize(const ost_conv_s8_dense_params *params,
                                                            const int32_t *sums, int8_t *out0, int8_t *out1)
{
    const ost_output_stage output = params->output; /* a copy: int8 stores may alias the original */
    const int32_t channels = params->window.output.channels, size = 2 * padded_channels(&params->window);
    const int32_t end = parts(params) * size;
    const int32_t *narrow = params->narrow, *bias = params->bias;
    for (int32_t m = 0; m < channels; m++, sums += 2) {
        int32_t sum0 = bias ? bias[m] : 0, sum1 = sum0;
        for (int32_t part = 0; part < end; part += size) {
            sum0 += sums[part];
            sum1 += sums[part + 1];
        }
        if (narrow) {
            const int32_t multiplier = narrow[3 * m], right = narrow[3 * m + 1], rounding = narrow[3 * m + 2];
            out0[m] = ost_finish_narrow(sum0, multiplier, right, rounding);
            out1[m] = ost_finish_narrow(sum1, multiplier, right, rounding);
        } else {
            out0[m] = ost_finish(&output, m, sum0);
            out1[m] = ost_finish(&output, m, sum1);
        }
    }
}

int32_t ost_conv_s8_dense_scratch_bytes(const ost_conv_s8_dense_params *params)
{
    const int32_t columns = ost_dense_columns(&params->window);
    return columns * 2 * (int32_t)sizeof(int16_t) +
           parts(params) * padded_channels(&params->window) * 2 * (int32_t)sizeof(int32_t) + columns;
}

int ost_conv_s8_dense_arguments_are_valid(const ost_conv_s8_dense_params *params, const int8_t *in, const int8_t *out)
{
    return params && in && out && params->weights && params->start && params->part_blocks > 0 &&
           (params->narrow || (params->output.multiplier && params->output.shift)) &&
           ost_window_is_valid(&params->window) && params->out_stride >= params->window.output.channels &&
           (params->bias || parts(params) == 1);
}

/* The product that all pixels have in common; those of a part of the columns differ in the sizes that `multiply_parts`
 * sets. */
ost_dense_run ost_conv_s8_dense_begin(const ost_conv_s8_dense_params *params, const int8_t *in, void *scratch)
{
    const ost_window *w = &params->window;
    const int32_t columns = ost_dense_columns(w), blocks = columns / OST_DENSE_BLOCK;
    int16_t *rows = (int16_t *)scratch;
    int32_t *sums = (int32_t *)(void *)(rows + 2 * columns);
    const ost_dense_run run = {
        .params = params,
        .in = in,
        .rows = rows,
        .sums = sums,
        .gather = (int8_t *)(sums + 2 * padded_channels(w) * parts(params)),
        .product = {
            .rows = rows,
            .weights = params->weights,
            .start = params->start,
            .sums = sums,
            .groups = padded_channels(w) / 4,
            .blocks = blocks,
            .skip = skipped_blocks(blocks) * (OST_DENSE_BLOCK / 2) + skipped_pairs(w),
            .narrow = w->output.channels % 4 == 0 && !params->bias ? params->narrow : NULL,
        },
    };
    ost_fill_bytes(run.gather, 0, columns - ost_window_columns(w));
    return run;
}

/* All sums of two pixels, part after part. */
OST_INLINE void multiply_parts(const ost_conv_s8_dense_params *params, ost_dense_product product)
{
    const int32_t blocks = product.blocks, groups = product.groups;
    int32_t skip = skipped_pairs(&params->window); /* the padding in front is the first part's */
    for (int32_t first = 0; first < blocks; first += params->part_blocks, skip = 0) {
        const int32_t left = blocks - first;
        product.blocks = left < params->part_blocks ? left : params->part_blocks;
        product.skip = skipped_blocks(product.blocks) * (OST_DENSE_BLOCK / 2) + skip;
        ost_conv_s8_dense_gemm(&product);
        product.rows += 2 * OST_DENSE_BLOCK * product.blocks;
        product.weights += 2 * OST_DENSE_BLOCK * groups * product.blocks;
        product.sums += 2 * 4 * groups;
    }
}

/* Where the next pixel goes. */
OST_INLINE int8_t *take(ost_dense_outputs *outputs, int32_t stride)
{
    int8_t *here = outputs->next;
    outputs->next = here + stride == outputs->end ? outputs->first : here + stride;
    return here;
}

void ost_conv_s8_dense_rows(const ost_dense_run *run, int32_t first, int32_t end, ost_dense_outputs outputs)
{
    const ost_conv_s8_dense_params *params = run->params;
    const ost_window *w = &params->window;
    ost_dense_product product = run->product;
    const int32_t positions = (end - first) * w->output.width;
    int32_t oy = first, ox = 0;
    for (int32_t n = 0; n < positions; n += 2) {
        const int32_t pixels = n + 1 < positions ? 2 : 1; /* a last single pixel is laid out twice */
        for (int32_t p = 0; p < 2; p++) {
            const int32_t y = oy * w->stride.height - w->padding.height;
            const int32_t x = ox * w->stride.width - w->padding.width;
            ost_conv_s8_dense_im2col(run, y, x, run->rows + p * OST_DENSE_BLOCK);
            if (p + 1 < pixels && ++ox == w->output.width) {
                ox = 0, oy++;
            }
        }
        product.out0 = take(&outputs, params->out_stride);
        product.out1 = pixels == 2 ? take(&outputs, params->out_stride) : product.out0;
        if (params->bias) {
            multiply_parts(params, product);
        } else {
            ost_conv_s8_dense_gemm(&product);
        }
        if (!product.narrow) {
            ost_conv_s8_dense_requantize(params, run->sums, product.out0, product.out1);
        }
        if (++ox == w->output.width) {
            ox = 0, oy++;
        }
    }
}

ost_status ost_conv_s8_dense(const ost_conv_s8_dense_params *params, const ost_scratch *scratch, const int8_t *in,
                             int8_t *out)
{
    if (!ost_conv_s8_dense_arguments_are_valid(params, in, out)) {
        return OST_BAD_ARGUMENT;
    }
    if (!scratch || !scratch->data || scratch->bytes < ost_conv_s8_dense_scratch_bytes(params)) {
        return OST_NO_SCRATCH;
    }
    const ost_dense_run run = ost_conv_s8_dense_begin(params, in, scratch->data);
    const ost_dense_outputs outputs = {out, NULL, NULL};
    ost_conv_s8_dense_rows(&run, 0, params->window.output.height, outputs);
    return OST_OK;
}
