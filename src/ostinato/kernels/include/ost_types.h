/* Types shared by all of Ostinato's kernels.
 *
 * Conventions (CMSIS-NN's): NHWC, batch 1, int8 activations, struct arguments, status codes, caller-owned scratch whose
 * size the kernel's *_scratch_bytes twin tells. No heap, no global state written at run time. A real activation is
 * scale * (q - zero_point). The Python package's quant/reference.py defines every kernel's bits.
 *
 * Each kernel has a DSP path (Cortex-M4/M7) and a plain-C twin with the same bits; OST_PLAIN_C forces the twin.
 */
#ifndef OST_TYPES_H
#define OST_TYPES_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum {
    OST_OK = 0,
    OST_BAD_ARGUMENT = -1, /* a size or a pointer that the kernel does not support */
    OST_NO_SCRATCH = -2    /* the scratch buffer is missing or too small */
} ost_status;

/* Working memory of a kernel, 8-byte aligned. Its contents mean nothing between calls. */
typedef struct {
    void *data;
    int32_t bytes;
} ost_scratch;

typedef struct {
    int32_t height;
    int32_t width;
    int32_t channels;
} ost_shape;

typedef struct {
    int32_t height;
    int32_t width;
} ost_size2;

/* A convolution's or a pooling's window. */
typedef struct {
    ost_shape input;
    ost_shape output;
    ost_size2 kernel;
    ost_size2 stride;
    ost_size2 padding;
    ost_size2 dilation;
} ost_window;

/* From int32 accumulators to int8, per output channel: multiplier * 2^(shift - 31), shift > 0 is left. */
typedef struct {
    const int32_t *multiplier;
    const int32_t *shift;
    int32_t zero_point;
    int32_t activation_min;
    int32_t activation_max;
} ost_output_stage;

#ifdef __cplusplus
}
#endif

#endif /* OST_TYPES_H */
