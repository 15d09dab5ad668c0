/* The best dense int8 convolution we know for a Cortex-M4: weights of two channels multiplied by one instruction
 * (ost_conv_s8_dense_gemm.h), zero point folded into the bias, 4 channels x 2 pixels in registers, inner loop in assembly.
 *
 * Input rows are widened by SXTB16 without reordering; the weights are stored in the order that this gives. */
#include "ost_conventional.h"
#include "../support/ost_requantize.h"
#include "../support/ost_simd.h"
#include "../support/ost_window.h"
#include "ost_conv_s8_dense_gemm.h"

/* The kernel's scratch, in this order. */
typedef struct {
    int16_t *rows;  /* two pixels, as ost_conv_s8_dense_gemm.h says */
    int32_t *sums;  /* their accumulators, for each part of the columns */
    int8_t *gather; /* one pixel's columns, where the input does not have them in usable runs */
} dense_scratch;

OST_INLINE int32_t padded_columns(const ost_window *w)
{
    return ost_round_up(ost_window_columns(w), OST_DENSE_BLOCK);
}

OST_INLINE int32_t padded_channels(const ost_window *w)
{
    return ost_round_up(w->output.channels, 4);
}

OST_INLINE int32_t parts(const ost_conv_s8_dense_params *params)
{
    const int32_t blocks = padded_columns(&params->window) / OST_DENSE_BLOCK;
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
    const int32_t front = padded_columns(w) - ost_window_columns(w);
    return front / 4 * 2 + (front % 4 == 3);
}

/* Widens whole blocks of 16 columns of one pixel; blocks of the two pixels alternate. */
OST_INLINE int16_t *widen_blocks(int16_t *to, const int8_t *from, int32_t count)
{
    for (; count > 0; count -= OST_DENSE_BLOCK, from += OST_DENSE_BLOCK, to += 2 * OST_DENSE_BLOCK) {
#if OST_HAS_DSP
        const uint32_t a = ost_load_u32(from), b = ost_load_u32(from + 4);
        const uint32_t c = ost_load_u32(from + 8), d = ost_load_u32(from + 12);
        ost_store_u32(to, ost_sxtb16(a));
        ost_store_u32(to + 2, ost_sxtb16_ror8(a));
        ost_store_u32(to + 4, ost_sxtb16(b));
        ost_store_u32(to + 6, ost_sxtb16_ror8(b));
        ost_store_u32(to + 8, ost_sxtb16(c));
        ost_store_u32(to + 10, ost_sxtb16_ror8(c));
        ost_store_u32(to + 12, ost_sxtb16(d));
        ost_store_u32(to + 14, ost_sxtb16_ror8(d));
#else
        for (int32_t k = 0; k < OST_DENSE_BLOCK; k += 4) {
            to[k] = from[k];
            to[k + 1] = from[k + 2];
            to[k + 2] = from[k + 1];
            to[k + 3] = from[k + 3];
        }
#endif
    }
    return to;
}

/* One pixel's K columns as int8, from a window that lies in the input. */
OST_INLINE void gather_inside(const ost_window *w, const int8_t *from, int8_t *to)
{
    const int32_t run = w->kernel.width * w->input.channels;
    const int32_t step = w->dilation.height * w->input.width * w->input.channels;
    int32_t kh = 1;
    if (run >= 8) { /* up to 7 bytes too many: there is a next row to read them from, and it overwrites them */
        for (; kh < w->kernel.height; kh++, from += step, to += run) {
            ost_copy_eights(to, from, run);
        }
    }
    for (; kh <= w->kernel.height; kh++, from += step, to += run) {
        ost_copy_bytes(to, from, run);
    }
}

/* One pixel's K columns as int8; outside the input they hold the zero point. */
OST_INLINE void gather(const ost_conv_s8_dense_params *params, const int8_t *in, int32_t y, int32_t x, int8_t *to)
{
    const ost_window *w = &params->window;
    const int32_t channels = w->input.channels;
    const int8_t zero = (int8_t)params->input_zero_point;
    const ost_range taps = ost_valid_positions(x, w->kernel.width, w->dilation.width, w->input.width);
    const int32_t step = w->dilation.width == 1 ? taps.end - taps.first : 1; /* taps that lie together */
    for (int32_t kh = 0, row = y; kh < w->kernel.height; kh++, row += w->dilation.height) {
        int8_t *end = to + w->kernel.width * channels;
        if (row >= 0 && row < w->input.height && taps.first < taps.end) {
            const int8_t *from = in + (row * w->input.width + x + taps.first * w->dilation.width) * channels;
            ost_fill_bytes(to, zero, taps.first * channels);
            to += taps.first * channels;
            for (int32_t kw = taps.first; kw < taps.end; kw += step, to += step * channels) {
                ost_copy_bytes(to, from, step * channels);
                from += w->dilation.width * channels;
            }
        }
        ost_fill_bytes(to, zero, (int32_t)(end - to));
        to = end;
    }
}

/* Whole blocks of one value. */
OST_INLINE int16_t *fill_blocks(int16_t *to, int32_t value, int32_t count)
{
    const uint32_t both = (uint16_t)value * 0x10001u;
    for (; count > 0; count -= OST_DENSE_BLOCK, to += 2 * OST_DENSE_BLOCK) {
        for (int32_t k = 0; k < OST_DENSE_BLOCK; k += 2) {
            ost_store_u32(to + k, both);
        }
    }
    return to;
}

/* One pixel whose window reaches into the padding, where every tap is whole blocks: nothing is gathered. */
OST_INLINE void widen_taps(const ost_conv_s8_dense_params *params, const int8_t *in, int32_t y, int32_t x, int16_t *to)
{
    const ost_window *w = &params->window;
    const int32_t channels = w->input.channels, zero = params->input_zero_point;
    const ost_range taps = ost_valid_positions(x, w->kernel.width, 1, w->input.width);
    for (int32_t kh = 0, row = y; kh < w->kernel.height; kh++, row += w->dilation.height) {
        if (row < 0 || row >= w->input.height || taps.first >= taps.end) {
            to = fill_blocks(to, zero, w->kernel.width * channels);
            continue;
        }
        const int8_t *from = in + (row * w->input.width + x + taps.first) * channels;
        to = fill_blocks(to, zero, taps.first * channels);
        to = widen_blocks(to, from, (taps.end - taps.first) * channels);
        to = fill_blocks(to, zero, (w->kernel.width - taps.end) * channels);
    }
}

/* Lays out one pixel; (y, x) is the window's corner in the unpadded input, pixel is 0 or 1. */
OST_PHASE_FUNCTION static void ost_conv_s8_dense_im2col(const ost_conv_s8_dense_params *params,
                                                        const dense_scratch *s, const int8_t *in, int32_t y, int32_t x,
                                                        int32_t pixel)
{
    const ost_window *w = &params->window;
    const int32_t run = w->kernel.width * w->input.channels;
    int16_t *to = s->rows + pixel * OST_DENSE_BLOCK;
    const int inside = y >= 0 && y + (w->kernel.height - 1) * w->dilation.height < w->input.height && x >= 0 &&
                       x + w->kernel.width <= w->input.width && (w->dilation.width == 1 || w->kernel.width == 1);
    const int8_t *from = inside ? in + (y * w->input.width + x) * w->input.channels : in;
    if (inside && run % OST_DENSE_BLOCK == 0) {
        const int32_t step = w->dilation.height * w->input.width * w->input.channels;
        for (int32_t kh = 0; kh < w->kernel.height; kh++, from += step) {
            to = widen_blocks(to, from, run);
        }
        return;
    }
    if (!inside && w->dilation.width == 1 && w->input.channels % OST_DENSE_BLOCK == 0) {
        widen_taps(params, in, y, x, to);
        return;
    }
    const int32_t padded = padded_columns(w), front = padded - ost_window_columns(w);
    if (inside && w->kernel.height == 1 && from - in >= front) { /* what is in front meets weights of zero */
        widen_blocks(to, from - front, padded);
        return;
    }
    int8_t *columns = s->gather + front; /* what is in front was filled once */
    if (inside) {
        gather_inside(w, from, columns);
    } else {
        gather(params, in, y, x, columns);
    }
    widen_blocks(to, s->gather, padded);
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
    const int32_t columns = padded_columns(&params->window);
    return columns * 2 * (int32_t)sizeof(int16_t) +
           parts(params) * padded_channels(&params->window) * 2 * (int32_t)sizeof(int32_t) + columns;
}

OST_INLINE int arguments_are_valid(const ost_conv_s8_dense_params *params, const int8_t *in, const int8_t *out)
{
    return params && in && out && params->weights && params->start && params->part_blocks > 0 &&
           (params->narrow || (params->output.multiplier && params->output.shift)) &&
           ost_window_is_valid(&params->window) && params->out_stride >= params->window.output.channels &&
           (params->bias || parts(params) == 1);
}

/* What all products have in common; those of a part of the columns differ in the sizes that `multiply_parts` sets. */
OST_INLINE ost_dense_product first_product(const ost_conv_s8_dense_params *params, const dense_scratch *s)
{
    const ost_window *w = &params->window;
    const int32_t blocks = padded_columns(w) / OST_DENSE_BLOCK;
    const ost_dense_product product = {
        .rows = s->rows,
        .weights = params->weights,
        .start = params->start,
        .sums = s->sums,
        .groups = padded_channels(w) / 4,
        .blocks = blocks,
        .skip = skipped_blocks(blocks) * (OST_DENSE_BLOCK / 2) + skipped_pairs(w),
        .narrow = w->output.channels % 4 == 0 && !params->bias ? params->narrow : NULL,
    };
    return product;
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

ost_status ost_conv_s8_dense(const ost_conv_s8_dense_params *params, const ost_scratch *scratch, const int8_t *in,
                             int8_t *out)
{
    if (!arguments_are_valid(params, in, out)) {
        return OST_BAD_ARGUMENT;
    }
    if (!scratch || !scratch->data || scratch->bytes < ost_conv_s8_dense_scratch_bytes(params)) {
        return OST_NO_SCRATCH;
    }
    const ost_window *w = &params->window;
    const int32_t columns = padded_columns(w);
    dense_scratch s;
    s.rows = (int16_t *)scratch->data;
    s.sums = (int32_t *)(void *)(s.rows + 2 * columns);
    s.gather = (int8_t *)(s.sums + 2 * padded_channels(w) * parts(params));
    ost_fill_bytes(s.gather, 0, columns - ost_window_columns(w));
    ost_dense_product product = first_product(params, &s);
    const int32_t positions = w->output.height * w->output.width;
    int32_t oy = 0, ox = 0;
    for (int32_t n = 0; n < positions; n += 2, out += 2 * params->out_stride) {
        const int32_t pixels = n + 1 < positions ? 2 : 1; /* a last single pixel is laid out twice */
        for (int32_t p = 0; p < 2; p++) {
            const int32_t y = oy * w->stride.height - w->padding.height;
            const int32_t x = ox * w->stride.width - w->padding.width;
            ost_conv_s8_dense_im2col(params, &s, in, y, x, p);
            if (p + 1 < pixels && ++ox == w->output.width) {
                ox = 0, oy++;
            }
        }
        product.out0 = out;
        product.out1 = pixels == 2 ? out + params->out_stride : out;
        if (params->bias) {
            multiply_parts(params, product);
        } else {
            ost_conv_s8_dense_gemm(&product);
        }
        if (!product.narrow) {
            ost_conv_s8_dense_requantize(params, s.sums, product.out0, product.out1);
        }
        if (++ox == w->output.width) {
            ox = 0, oy++;
        }
    }
    return OST_OK;
}
