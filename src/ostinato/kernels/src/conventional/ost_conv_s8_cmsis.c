/* The baseline: an int8 convolution organised as CMSIS-NN's arm_convolve_s8 is on a Cortex-M4 (our own code).
 *
 * Two output pixels are laid out as int16 rows with the input offset added; a product of 2 channels x 2 pixels
 * (ost_conv_s8_cmsis_product.S) then expands the int8 weights in registers and accumulates with SMLAD. Padding is real zero, hence int16 0.
 * The plain twin computes the same sums from the same rows. */
#include "../support/ost_requantize.h"
#include "../support/ost_simd.h"
#include "ost_conv_s8_cmsis_run.h"

/* int16 = int8 + offset, in order; returns the end of `to`. */
OST_INLINE int16_t *widen(int16_t *to, const int8_t *from, int32_t count, int32_t offset)
{
#if OST_HAS_DSP
    const uint32_t offsets = (uint16_t)offset * 0x00010001u;
    for (; count >= 4; count -= 4, from += 4, to += 4) {
        const uint32_t bytes = ost_load_u32(from);
        const uint32_t even = ost_sxtab16(offsets, bytes);
        const uint32_t odd = ost_sxtab16_ror8(offsets, bytes);
        ost_store_u32(to, ost_pkhbt16(even, odd));
        ost_store_u32(to + 2, ost_pkhtb16(odd, even));
    }
#endif
    for (; count > 0; count--) {
        *to++ = (int16_t)(*from++ + offset);
    }
    return to;
}

OST_INLINE int16_t *zeros(int16_t *to, int32_t count)
{
    for (; count > 0; count--) {
        *to++ = 0;
        OST_KEEP_LOOP();
    }
    return to;
}

OST_PHASE_FUNCTION void ost_conv_s8_cmsis_im2col(const ost_conv_s8_cmsis_params *params, const int8_t *in, int32_t y,
                                                 int32_t x, int16_t *to)
{
    const ost_window *w = &params->window;
    const int32_t channels = w->input.channels;
    const int32_t offset = -params->input_zero_point;
    for (int32_t kh = 0, row = y; kh < w->kernel.height; kh++, row += w->dilation.height) {
        for (int32_t kw = 0, column = x; kw < w->kernel.width; kw++, column += w->dilation.width) {
            if (row < 0 || row >= w->input.height || column < 0 || column >= w->input.width) {
                to = zeros(to, channels);
            } else {
                to = widen(to, in + (row * w->input.width + column) * channels, channels, offset);
            }
        }
    }
}

/* Adds the products of weight rows a0, a1 and pixel rows b0, b1 to sums[2 * channel + pixel]. */
#if OST_HAS_DSP
void ost_conv_s8_cmsis_product(const int8_t *a0, const int8_t *a1, const int16_t *b0, const int16_t *b1,
                               int32_t columns, int32_t sums[4]);
#else
static void ost_conv_s8_cmsis_product(const int8_t *a0, const int8_t *a1, const int16_t *b0, const int16_t *b1,
                                      int32_t columns, int32_t sums[4])
{
    int32_t s00 = sums[0], s01 = sums[1], s10 = sums[2], s11 = sums[3];
    for (int32_t k = 0; k < columns; k++) {
        s00 += a0[k] * b0[k];
        s01 += a0[k] * b1[k];
        s10 += a1[k] * b0[k];
        s11 += a1[k] * b1[k];
    }
    sums[0] = s00, sums[1] = s01, sums[2] = s10, sums[3] = s11;
}
#endif

OST_PHASE_FUNCTION void ost_conv_s8_cmsis_gemm(const ost_conv_s8_cmsis_params *params, const int16_t *rows,
                                               int32_t row_stride, int8_t *out0, int8_t *out1)
{
    const int32_t columns = ost_window_columns(&params->window);
    const int32_t channels = params->window.output.channels;
    const ost_output_stage output = params->output; /* a copy: int8 stores may alias the original */
    const int32_t *bias = params->bias;
    const int8_t *weights = params->weights;
    for (int32_t m = 0; m < channels; m += 2, weights += 2 * columns) {
        const int32_t next = m + 1 < channels; /* an odd last channel is computed twice */
        int32_t sums[4] = {bias[m], bias[m], bias[m + next], bias[m + next]};
        ost_conv_s8_cmsis_product(weights, weights + next * columns, rows, rows + row_stride, columns, sums);
        out0[m] = ost_finish(&output, m, sums[0]);
        out1[m] = ost_finish(&output, m, sums[1]);
        out0[m + next] = ost_finish(&output, m + next, sums[2]);
        out1[m + next] = ost_finish(&output, m + next, sums[3]);
    }
}

int32_t ost_conv_s8_cmsis_scratch_bytes(const ost_conv_s8_cmsis_params *params)
{
    return 2 * (int32_t)sizeof(int16_t) * ost_window_columns(&params->window);
}

ost_status ost_conv_s8_cmsis(const ost_conv_s8_cmsis_params *params, const ost_scratch *scratch, const int8_t *in,
                             int8_t *out)
{
    if (!params || !ost_conv_s8_cmsis_arguments_are_valid(params, in, out)) {
        return OST_BAD_ARGUMENT;
    }
    if (!scratch || !scratch->data || scratch->bytes < ost_conv_s8_cmsis_scratch_bytes(params)) {
        return OST_NO_SCRATCH;
    }
    const ost_window *w = &params->window;
    const int32_t columns = ost_window_columns(w);
    int16_t *rows = (int16_t *)scratch->data;
    int32_t waiting = 0; /* pixels laid out but not multiplied yet */
    for (int32_t oy = 0, y = -w->padding.height; oy < w->output.height; oy++, y += w->stride.height) {
        for (int32_t ox = 0, x = -w->padding.width; ox < w->output.width; ox++, x += w->stride.width) {
            ost_conv_s8_cmsis_im2col(params, in, y, x, rows + waiting * columns);
            if (++waiting == 2) {
                ost_conv_s8_cmsis_gemm(params, rows, columns, out, out + w->output.channels);
                out += 2 * w->output.channels;
                waiting = 0;
            }
        }
    }
    if (waiting) {
        ost_conv_s8_cmsis_gemm(params, rows, 0, out, out);
    }
    return OST_OK;
}
