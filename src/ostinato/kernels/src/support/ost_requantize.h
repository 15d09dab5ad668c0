/* From an int32 accumulator to int8: multiply by multiplier * 2^(shift - 31), add the zero point, clamp.
 * The rounding is TensorFlow Lite's reference: high multiply half up, then right shift half away from zero. */
#ifndef OST_REQUANTIZE_H
#define OST_REQUANTIZE_H

#include "ost_simd.h"

#include "ost_conventional.h"

/* (value * multiplier + 2^30) >> 31. */
OST_INLINE int32_t ost_doubling_high_multiply(int32_t value, int32_t multiplier)
{
    return (int32_t)(((int64_t)value * multiplier + ((int64_t)1 << 30)) >> 31);
}

/* value / 2^exponent, half away from zero, 0 <= exponent <= 31. */
OST_INLINE int32_t ost_divide_by_power_of_two(int32_t value, int32_t exponent)
{
    const int32_t mask = (int32_t)(((uint32_t)1 << exponent) - 1u);
    const int32_t threshold = (mask >> 1) + (value < 0);
    return (value >> exponent) + ((value & mask) > threshold);
}

/* Needs |accumulator| * 2^max(shift, 0) < 2^31, which the binding proves. */
OST_INLINE int32_t ost_requantize(int32_t accumulator, int32_t multiplier, int32_t shift)
{
    const int32_t left = shift > 0 ? shift : 0;
    const int32_t shifted = (int32_t)((uint32_t)accumulator << left);
    return ost_divide_by_power_of_two(ost_doubling_high_multiply(shifted, multiplier), left - shift);
}

OST_INLINE int32_t ost_clamp(int32_t value, int32_t low, int32_t high)
{
    value = value < low ? low : value;
    return value > high ? high : value;
}

/* The whole way for channel m. */
OST_INLINE int8_t ost_finish(const ost_output_stage *output, int32_t m, int32_t accumulator)
{
    const int32_t scaled = ost_requantize(accumulator, output->multiplier[m], output->shift[m]);
    return (int8_t)ost_clamp(scaled + output->zero_point, output->activation_min, output->activation_max);
}

/* ost_finish with int8's own clamp, for |accumulator| < 2^30 and right = -shift in 1..22; half the instructions.
 *
 * rounding = 2^(right-1) + zero_point * 2^right. Half away from zero is half up of value - (value < 0); the sign is the
 * accumulator's (they differ only at accumulator -1, multiplier 2^30, where both give the same quotient). */
OST_INLINE int8_t ost_finish_narrow(int32_t accumulator, int32_t multiplier, int32_t right, int32_t rounding)
{
#if OST_HAS_DSP
    const int32_t doubled = (int32_t)((uint32_t)accumulator << 1);
    const int32_t scaled = ost_smmlar(doubled, multiplier, rounding) + (accumulator >> 31);
    return (int8_t)ost_ssat8(scaled >> right);
#else
    const int32_t scaled = ost_doubling_high_multiply(accumulator, multiplier) + rounding + (accumulator >> 31);
    return (int8_t)ost_clamp(scaled >> right, INT8_MIN, INT8_MAX);
#endif
}

#endif /* OST_REQUANTIZE_H */
