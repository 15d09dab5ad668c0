/* What `ost_conv_s8_cmsis` and `ost_conv_s8_cmsis_pooled` have in common. */
#ifndef OST_CONV_S8_CMSIS_RUN_H
#define OST_CONV_S8_CMSIS_RUN_H

#include "ost_conventional.h"

#include "../support/ost_window.h"

OST_INLINE int ost_conv_s8_cmsis_arguments_are_valid(const ost_conv_s8_cmsis_params *params, const int8_t *in,
                                                     const int8_t *out)
{
    return in && out && params->weights && params->bias && params->output.multiplier && params->output.shift &&
           ost_window_is_valid(&params->window);
}

/* One output pixel's K columns in kh.kw.c order; (y, x) is the window's corner in the unpadded input. */
void ost_conv_s8_cmsis_im2col(const ost_conv_s8_cmsis_params *params, const int8_t *in, int32_t y, int32_t x,
                              int16_t *to);

/* All M channels of two pixels; for a last single pixel both rows and both outputs are the same. */
void ost_conv_s8_cmsis_gemm(const ost_conv_s8_cmsis_params *params, const int16_t *rows, int32_t row_stride,
                            int8_t *out0, int8_t *out1);

#endif /* OST_CONV_S8_CMSIS_RUN_H */
