/* int8 convolution in groups: an output's taps in place, the channels of a group four at a time.
 *
 * The zero point is subtracted where the input is widened, so taps in the padding are simply left out. Nothing is laid
 * out and no weight is read twice for an output; a depthwise convolution has a kernel of its own. */
#include "ost_conventional.h"
#include "../support/ost_requantize.h"
#include "../support/ost_simd.h"
#include "../support/ost_window.h"

/* Products of `count` channels of one tap. */
OST_INLINE int32_t sum_tap(const int8_t *x, const int8_t *weight, int32_t count, int32_t zero_point, int32_t sum)
{
#if OST_HAS_DSP
    const uint32_t minus_zero = (uint16_t)-zero_point * 0x00010001u;
    for (; count >= 4; count -= 4, x += 4, weight += 4) {
        const uint32_t a = ost_load_u32(x), b = ost_load_u32(weight);
        sum = ost_smlad(ost_sxtab16(minus_zero, a), ost_sxtb16(b), sum);
        sum = ost_smlad(ost_sxtab16_ror8(minus_zero, a), ost_sxtb16_ror8(b), sum);
    }
#endif
    for (; count > 0; count--) {
        sum += (*x++ - zero_point) * *weight++;
    }
    return sum;
}

/* One output position; (y, x) is the window's corner in the unpadded input. */
OST_PHASE_FUNCTION static void ost_conv_s8_grouped_output(const ost_conv_s8_grouped_params *params, const int8_t *in,
                                                          int32_t y, int32_t x, int8_t *out)
{
    const ost_window *w = &params->window;
    const ost_output_stage output = params->output; /* a copy: int8 stores may alias the original */
    const int32_t channels = w->input.channels, each = channels / params->groups;
    const int32_t outputs = w->output.channels, per_group = outputs / params->groups;
    const ost_range rows = ost_valid_positions(y, w->kernel.height, w->dilation.height, w->input.height);
    const ost_range columns = ost_valid_positions(x, w->kernel.width, w->dilation.width, w->input.width);
    const int8_t *weights = params->weights;
    for (int32_t m = 0; m < outputs; m++, weights += w->kernel.height * w->kernel.width * each) {
        const int8_t *group = in + m / per_group * each;
        int32_t sum = params->bias[m];
        for (int32_t kh = rows.first; kh < rows.end; kh++) {
            const int32_t row = (y + kh * w->dilation.height) * w->input.width + x;
            for (int32_t kw = columns.first; kw < columns.end; kw++) {
                const int8_t *from = group + (row + kw * w->dilation.width) * channels;
                const int8_t *weight = weights + (kh * w->kernel.width + kw) * each;
                sum = sum_tap(from, weight, each, params->input_zero_point, sum);
            }
        }
        out[m] = ost_finish(&output, m, sum);
    }
}

int32_t ost_conv_s8_grouped_scratch_bytes(const ost_conv_s8_grouped_params *params)
{
    (void)params;
    return 0;
}

ost_status ost_conv_s8_grouped(const ost_conv_s8_grouped_params *params, const ost_scratch *scratch, const int8_t *in,
                               int8_t *out)
{
    (void)scratch;
    if (!params || !in || !out || !params->weights || !params->bias || !params->output.multiplier ||
        !params->output.shift || !ost_window_is_valid(&params->window) || params->groups < 1 ||
        params->window.input.channels % params->groups != 0 || params->window.output.channels % params->groups != 0) {
        return OST_BAD_ARGUMENT;
    }
    const ost_window *w = &params->window;
    for (int32_t oy = 0; oy < w->output.height; oy++) {
        for (int32_t ox = 0; ox < w->output.width; ox++, out += w->output.channels) {
            ost_conv_s8_grouped_output(params, in, oy * w->stride.height - w->padding.height,
                                       ox * w->stride.width - w->padding.width, out);
        }
    }
    return OST_OK;
}
