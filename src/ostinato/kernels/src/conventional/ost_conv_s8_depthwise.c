/* Depthwise int8 convolution: four channels at a time, their sums in registers (ost_conv_s8_depthwise_pixel.S).
 *
 * The zero point is subtracted where the input is widened (SXTAB16), so taps in the padding are simply left out.
 * Weights are int16 in the order in which SXTB16 and SXTB16 ROR #8 widen a word of four channels. */
#include "ost_conventional.h"
#include "../support/ost_requantize.h"
#include "../support/ost_simd.h"
#include "../support/ost_window.h"

/* The taps of one output that lie in the input. */
typedef struct {
    const int8_t *from; /* channel 0 of the first */
    int32_t row_step;   /* bytes from a row of taps to the next */
    int32_t step;
    int32_t rows;
    int32_t columns;
    const int16_t *weights; /* of the first */
    int32_t weight_row_step; /* int16 from a row of taps to the next */
    int32_t weight_step;
} depthwise_taps;

OST_INLINE depthwise_taps locate(const ost_conv_s8_depthwise_params *params, const int8_t *in, int32_t y, int32_t x)
{
    const ost_window *w = &params->window;
    const int32_t channels = w->input.channels;
    const ost_range rows = ost_valid_positions(y, w->kernel.height, w->dilation.height, w->input.height);
    const ost_range columns = ost_valid_positions(x, w->kernel.width, w->dilation.width, w->input.width);
    depthwise_taps taps;
    taps.rows = rows.end - rows.first;
    taps.columns = columns.end - columns.first;
    taps.step = w->dilation.width * channels;
    taps.row_step = w->dilation.height * w->input.width * channels;
    taps.weight_step = ost_round_up(channels, 4);
    taps.weight_row_step = w->kernel.width * taps.weight_step;
    taps.from = in;
    taps.weights = params->weights;
    if (taps.rows > 0 && taps.columns > 0) {
        const int32_t row = y + rows.first * w->dilation.height, column = x + columns.first * w->dilation.width;
        taps.from += (row * w->input.width + column) * channels;
        taps.weights += rows.first * taps.weight_row_step + columns.first * taps.weight_step;
    } else {
        taps.rows = 0;
    }
    return taps;
}

#if OST_HAS_DSP
/* ost_conv_s8_depthwise_pixel.S knows the order of the fields. Steps are in bytes. */
typedef struct {
    const int8_t *from;
    const int16_t *weights;
    const int32_t *bias;
    const int32_t *narrow;
    int8_t *out;
    int32_t groups;          /* of four channels */
    int32_t rows;            /* of taps, at least 1 */
    int32_t columns;         /* 1 to UNROLLED */
    int32_t step;
    int32_t weight_step;
    int32_t row_step;        /* from behind a row of taps to the next */
    int32_t weight_row_step;
    uint32_t minus_zero;     /* twice */
} ost_depthwise_pixel;

#define UNROLLED 8

void ost_conv_s8_depthwise_pixel(const ost_depthwise_pixel *pixel);

OST_INLINE void sum_groups(const ost_conv_s8_depthwise_params *params, const depthwise_taps *taps, int32_t groups,
                           int8_t *out)
{
    const ost_depthwise_pixel pixel = {taps->from,
                                       taps->weights,
                                       params->bias,
                                       params->narrow,
                                       out,
                                       groups,
                                       taps->rows,
                                       taps->columns,
                                       taps->step,
                                       2 * taps->weight_step,
                                       taps->row_step - taps->columns * taps->step,
                                       2 * (taps->weight_row_step - taps->columns * taps->weight_step),
                                       (uint16_t)-params->input_zero_point * 0x00010001u};
    ost_conv_s8_depthwise_pixel(&pixel);
}
#endif

/* Channel c; its weight is at `place` of every tap. */
OST_INLINE int32_t sum_one(const depthwise_taps *taps, int32_t c, int32_t place, int32_t zero_point, int32_t sum)
{
    for (int32_t kh = 0; kh < taps->rows; kh++) {
        const int8_t *x = taps->from + kh * taps->row_step + c;
        const int16_t *weight = taps->weights + kh * taps->weight_row_step + place;
        for (int32_t kw = 0; kw < taps->columns; kw++, x += taps->step, weight += taps->weight_step) {
            sum += (*x - zero_point) * *weight;
        }
    }
    return sum;
}

OST_PHASE_FUNCTION static void ost_conv_s8_depthwise_output(const ost_conv_s8_depthwise_params *params,
                                                            const depthwise_taps *taps, int8_t *out)
{
    const int32_t channels = params->window.input.channels, zero_point = params->input_zero_point;
    const ost_output_stage output = params->output; /* a copy: int8 stores may alias the original */
    int32_t c = 0;
#if OST_HAS_DSP
    if (params->narrow && channels >= 4 && taps->rows > 0 && taps->columns <= UNROLLED) {
        sum_groups(params, taps, channels / 4, out);
        c = channels / 4 * 4;
    }
#endif
    for (; c < channels; c++) {
        static const int8_t places[4] = {0, 2, 1, 3};
        const int32_t place = c / 4 * 4 + places[c % 4];
        const int32_t sum = sum_one(taps, c, place, zero_point, params->bias[c]);
        if (params->narrow) {
            const int32_t *narrow = params->narrow + 3 * c;
            out[c] = ost_finish_narrow(sum, narrow[0], narrow[1], narrow[2]);
        } else {
            out[c] = ost_finish(&output, c, sum);
        }
    }
}

int32_t ost_conv_s8_depthwise_scratch_bytes(const ost_conv_s8_depthwise_params *params)
{
    (void)params;
    return 0;
}

ost_status ost_conv_s8_depthwise(const ost_conv_s8_depthwise_params *params, const ost_scratch *scratch,
                                 const int8_t *in, int8_t *out)
{
    (void)scratch;
    if (!params || !in || !out || !params->weights || !params->bias ||
        !(params->narrow || (params->output.multiplier && params->output.shift)) ||
        !ost_window_is_valid(&params->window) ||
        params->window.input.channels != params->window.output.channels) {
        return OST_BAD_ARGUMENT;
    }
    const ost_window *w = &params->window;
    for (int32_t oy = 0; oy < w->output.height; oy++) {
        for (int32_t ox = 0; ox < w->output.width; ox++, out += w->output.channels) {
            const depthwise_taps taps = locate(params, in, oy * w->stride.height - w->padding.height,
                                               ox * w->stride.width - w->padding.width);
            ost_conv_s8_depthwise_output(params, &taps, out);
        }
    }
    return OST_OK;
}
