/* Conventional int8 operators: what computation reuse is compared with, and what the layers it leaves alone run on.
 *
 * out = clamp(requantize(sum (q - zero_point_in) * weight + bias) + zero_point_out), TensorFlow Lite's arithmetic.
 * ReLU and ReLU6 are activation_min and activation_max. Arrays that are called packed are laid out by the Python
 * package's kernels/conventional.py; their layout is described there and beside each kernel.
 *
 * Every operator is a function `ost_status f(params, scratch, in, out)` with a twin `f_scratch_bytes(params)`. Where an
 * operator has several inputs, `in` is an array of pointers to them.
 */
#ifndef OST_CONVENTIONAL_H
#define OST_CONVENTIONAL_H

#include "ost_types.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Convolution as CMSIS-NN does it on a Cortex-M4: the baseline that users have. */
typedef struct {
    ost_window window;
    int32_t input_zero_point;
    const int8_t *weights; /* M x KH x KW x C, not packed */
    const int32_t *bias;   /* M */
    ost_output_stage output;
} ost_conv_s8_cmsis_params;

ost_status ost_conv_s8_cmsis(const ost_conv_s8_cmsis_params *params, const ost_scratch *scratch, const int8_t *in,
                             int8_t *out);
int32_t ost_conv_s8_cmsis_scratch_bytes(const ost_conv_s8_cmsis_params *params);

/* Convolution as fast as we can make it without reuse: 4 channels x 2 pixels, two channels in one product. */
typedef struct {
    ost_window window;
    int32_t input_zero_point;
    const int16_t *weights; /* two channels in each, packed as ost_conv_s8_dense_gemm.h says, part after part */
    const int32_t *start;  /* ceil(M/4) x 4 starts of accumulators, of each part */
    const int32_t *bias;   /* M, minus input_zero_point * sum of weights; or null where it is in `start` */
    int32_t out_stride;    /* bytes from one output pixel to the next: M, or more where others lie between */
    int32_t part_blocks;   /* blocks whose products an accumulator holds: all of them, unless `bias` is given */
    ost_output_stage output;
    /* M x {multiplier, right shift, 2^(right-1) + zero_point * 2^right}, or null. Given, in place of the output stage's
     * arrays, where it is proven that |accumulator| < 2^30, 1 <= right <= 22 and that only int8 itself clamps: half
     * the instructions. */
    const int32_t *narrow;
} ost_conv_s8_dense_params;

ost_status ost_conv_s8_dense(const ost_conv_s8_dense_params *params, const ost_scratch *scratch, const int8_t *in,
                             int8_t *out);
int32_t ost_conv_s8_dense_scratch_bytes(const ost_conv_s8_dense_params *params);

/* A dense convolution and a max-pool of its outputs, of which only a window's rows are held: any window of
 * dilation 1 that reaches at least one of their rows. `layer.out_stride` is M. */
typedef struct {
    ost_conv_s8_dense_params layer;
    ost_window pool;
} ost_conv_s8_dense_pooled_params;

ost_status ost_conv_s8_dense_pooled(const ost_conv_s8_dense_pooled_params *params, const ost_scratch *scratch,
                                    const int8_t *in, int8_t *out);
int32_t ost_conv_s8_dense_pooled_scratch_bytes(const ost_conv_s8_dense_pooled_params *params);

/* The same on the other kernel, which has less padding and scratch. */
typedef struct {
    ost_conv_s8_cmsis_params layer;
    ost_window pool;
} ost_conv_s8_cmsis_pooled_params;

ost_status ost_conv_s8_cmsis_pooled(const ost_conv_s8_cmsis_pooled_params *params, const ost_scratch *scratch,
                                    const int8_t *in, int8_t *out);
int32_t ost_conv_s8_cmsis_pooled_scratch_bytes(const ost_conv_s8_cmsis_pooled_params *params);

/* Depthwise convolution: M = C, output channel c reads input channel c alone. */
typedef struct {
    ost_window window;
    int32_t input_zero_point;
    const int16_t *weights; /* packed: KH x KW x ceil(C/4) x 4, channels in the order 0 2 1 3 of every 4 */
    const int32_t *bias;    /* C */
    ost_output_stage output;
    const int32_t *narrow; /* as ost_conv_s8_dense_params has it, or null */
} ost_conv_s8_depthwise_params;

ost_status ost_conv_s8_depthwise(const ost_conv_s8_depthwise_params *params, const ost_scratch *scratch,
                                 const int8_t *in, int8_t *out);
int32_t ost_conv_s8_depthwise_scratch_bytes(const ost_conv_s8_depthwise_params *params);

/* Convolution in groups: output channel m reads the C / groups input channels of group m / (M / groups). */
typedef struct {
    ost_window window;
    int32_t input_zero_point;
    int32_t groups;        /* divides C and M */
    const int8_t *weights; /* M x KH x KW x C / groups, not packed */
    const int32_t *bias;   /* M */
    ost_output_stage output;
} ost_conv_s8_grouped_params;

ost_status ost_conv_s8_grouped(const ost_conv_s8_grouped_params *params, const ost_scratch *scratch, const int8_t *in,
                               int8_t *out);
int32_t ost_conv_s8_grouped_scratch_bytes(const ost_conv_s8_grouped_params *params);

typedef struct {
    int32_t inputs;         /* K */
    int32_t outputs;        /* M */
    const int16_t *weights; /* packed: ceil(M/4) x ceil(K/16) x 2 pairs of outputs x 16, as ost_conv_s8_dense's */
    const int32_t *bias;    /* ceil(M/4) x 4, minus input zero point * sum of weights */
    int32_t part_blocks;    /* of 16 inputs that are summed in one go: sums of odd outputs stay within 24 bits */
    ost_output_stage output;
} ost_fully_connected_s8_params;

ost_status ost_fully_connected_s8(const ost_fully_connected_s8_params *params, const ost_scratch *scratch,
                                  const int8_t *in, int8_t *out);
int32_t ost_fully_connected_s8_scratch_bytes(const ost_fully_connected_s8_params *params);

/* Pooling; input and output share scale and zero point, and padding never counts. */
typedef struct {
    ost_window window;
} ost_pool_s8_params;

ost_status ost_max_pool_s8(const ost_pool_s8_params *params, const ost_scratch *scratch, const int8_t *in, int8_t *out);
int32_t ost_max_pool_s8_scratch_bytes(const ost_pool_s8_params *params);

/* Mean of the valid elements, rounded half away from zero. */
ost_status ost_avg_pool_s8(const ost_pool_s8_params *params, const ost_scratch *scratch, const int8_t *in, int8_t *out);
int32_t ost_avg_pool_s8_scratch_bytes(const ost_pool_s8_params *params);

/* Elementwise sum: out = clamp((offset + a * first_multiplier + b * second_multiplier) >> fraction_bits). `out` may be
 * one of the inputs. */
typedef struct {
    int32_t count;             /* elements of each tensor */
    int32_t first_multiplier;  /* 0 to 32767 */
    int32_t second_multiplier;
    int32_t offset;            /* zero points and rounding */
    int32_t fraction_bits;     /* 1 to 14 */
    int32_t activation_min;
    int32_t activation_max;
} ost_add_s8_params;

ost_status ost_add_s8(const ost_add_s8_params *params, const ost_scratch *scratch, const int8_t *const *in, int8_t *out);
int32_t ost_add_s8_scratch_bytes(const ost_add_s8_params *params);

/* Side by side along the channels; all tensors share scale and zero point. The last part may lie at the end of `out`. A
 * part that is there already is null in `in`. */
typedef struct {
    int32_t pixels;
    int32_t parts;
    const int32_t *channels; /* of each part */
} ost_concat_s8_params;

ost_status ost_concat_s8(const ost_concat_s8_params *params, const ost_scratch *scratch, const int8_t *const *in,
                         int8_t *out);
int32_t ost_concat_s8_scratch_bytes(const ost_concat_s8_params *params);

/* Probabilities of scale 1/256 and zero point -128. `out` may be `in`. */
typedef struct {
    int32_t count;         /* 1 to 32768 */
    const uint16_t *table; /* 256: round(65535 * exp(-scale * distance to the largest)); the first is 65535 */
} ost_softmax_s8_params;

ost_status ost_softmax_s8(const ost_softmax_s8_params *params, const ost_scratch *scratch, const int8_t *in,
                          int8_t *out);
int32_t ost_softmax_s8_scratch_bytes(const ost_softmax_s8_params *params);

#ifdef __cplusplus
}
#endif

#endif /* OST_CONVENTIONAL_H */
