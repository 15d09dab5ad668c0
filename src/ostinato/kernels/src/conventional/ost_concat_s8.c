/* Tensors of one scale side by side along the channels: every pixel of a part is copied to its place. */
#include "ost_conventional.h"
#include "../support/ost_window.h"

OST_INLINE void copy_pixel(int8_t *to, const int8_t *from, int32_t channels)
{
    for (; channels >= 16; channels -= 16, to += 16, from += 16) {
        const uint32_t w0 = ost_load_u32(from), w1 = ost_load_u32(from + 4);
        const uint32_t w2 = ost_load_u32(from + 8), w3 = ost_load_u32(from + 12);
        ost_store_u32(to, w0);
        ost_store_u32(to + 4, w1);
        ost_store_u32(to + 8, w2);
        ost_store_u32(to + 12, w3);
        OST_KEEP_LOOP();
    }
    ost_copy_bytes(to, from, channels);
}

OST_PHASE_FUNCTION static void ost_concat_s8_part(const int8_t *in, int8_t *out, int32_t pixels, int32_t channels,
                                                  int32_t out_channels)
{
    for (int32_t n = 0; n < pixels; n++, in += channels, out += out_channels) {
        copy_pixel(out, in, channels);
    }
}

int32_t ost_concat_s8_scratch_bytes(const ost_concat_s8_params *params)
{
    (void)params;
    return 0;
}

ost_status ost_concat_s8(const ost_concat_s8_params *params, const ost_scratch *scratch, const int8_t *const *in,
                         int8_t *out)
{
    (void)scratch;
    if (!params || !in || !out || !params->channels || params->pixels < 1 || params->parts < 2) {
        return OST_BAD_ARGUMENT;
    }
    int32_t all = 0;
    for (int32_t i = 0; i < params->parts; i++) {
        if (params->channels[i] < 1) {
            return OST_BAD_ARGUMENT;
        }
        all += params->channels[i];
    }
    /* The last part first: it may lie at the end of the output, where its pixels move to lower addresses one by one. */
    out += all;
    for (int32_t i = params->parts - 1; i >= 0; i--) {
        out -= params->channels[i];
        if (in[i]) {
            ost_concat_s8_part(in[i], out, params->pixels, params->channels[i], all);
        }
    }
    return OST_OK;
}
