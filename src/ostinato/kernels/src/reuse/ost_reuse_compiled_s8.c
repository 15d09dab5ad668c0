/* Reuse convolution in compiled scope: hash, look up, add. No centroids, no multiplication by weights.
 *
 * Where kernel positions share their hashes, there is a map of ids (ost_reuse_map), and a window of it is an output's list
 * of table rows. Otherwise every output position has ids of its own. */
#include "ost_reuse.h"
#include "../support/ost_window.h"
#include "ost_reuse_ids.h"
#include "ost_reuse_lookup.h"
#include "ost_reuse_pool.h"
#include "ost_reuse_slices.h"

#define SHORT_RUN 4

/* The kernel's scratch, in this order; every part is aligned to 8 bytes. */
typedef struct {
    uint8_t *map;   /* mapped: the padded map's ids, or a band of them; otherwise the ids of one run of outputs; and slack */
    uint8_t *ids;   /* mapped: the ids of one window, and slack */
    int8_t *tail;   /* mapped, L not a multiple of 4: the last vector */
    int8_t *padded; /* the input with its padding, if it has any, or a band of it; mapped: if pixels are read from it, or
                     * a row of it */
    int8_t *gather; /* otherwise: one run of gathered vectors, if any slice is gathered */
    int8_t *pooled; /* one output, if there is a pooling */
    int32_t bytes;
} compiled_scratch;

OST_INLINE void *take(char *base, int32_t *used, int32_t bytes)
{
    char *part = base ? base + *used : NULL;
    *used += ost_round_up(bytes, 8);
    return part;
}

/* Outputs whose ids are found together, if there is no map. */
OST_INLINE int32_t run_of(const ost_reuse_compiled_s8_params *p)
{
    const int32_t longest = ost_reuse_run_length(&p->window);
    return p->band && longest > SHORT_RUN ? SHORT_RUN : longest;
}

/* Rows of the padded input, or of the padded map, that a row of outputs reads. */
OST_INLINE int32_t band_rows(const ost_window *w)
{
    return (w->kernel.height - 1) * w->dilation.height + 1;
}

/* Bytes of `rows` rows of the padded input; whole words may be read behind a part of it. */
OST_INLINE int32_t padded_rows_bytes(const ost_window *w, int32_t rows)
{
    return rows * (w->input.width + 2 * w->padding.width) * w->input.channels + OST_LOOKUP_SLACK;
}

/* Without a map: rows of the padded input are made for each row of outputs. */
OST_INLINE int pads_rows(const ost_reuse_compiled_s8_params *p)
{
    return p->band && ost_reuse_is_padded(&p->window);
}

OST_INLINE compiled_scratch lay_out(const ost_reuse_compiled_s8_params *p, void *base)
{
    const ost_window *w = &p->window;
    const int32_t id_bytes = ost_lookup_id_bytes(p->hash.hashes), one = p->rows * id_bytes + OST_LOOKUP_SLACK;
    compiled_scratch s = {NULL, NULL, NULL, NULL, NULL, NULL, 0};
    if (p->mapped) {
        const ost_window *m = &p->map.window;
        const int32_t rows = p->band ? band_rows(m) : m->input.height + 2 * m->padding.height;
        const int32_t padded = p->band ? padded_rows_bytes(w, 1) : ost_reuse_padded_bytes(w);
        s.map = (uint8_t *)take(base, &s.bytes, rows * ost_reuse_map_row_bytes(p) + OST_LOOKUP_SLACK);
        s.ids = (uint8_t *)take(base, &s.bytes, one);
        s.tail = (int8_t *)take(base, &s.bytes, p->length % 4 != 0 ? p->hash.words * 4 : 0);
        s.padded = (int8_t *)take(base, &s.bytes, p->map.padded ? padded : 0);
    } else {
        const int32_t run = run_of(p), longest = ost_reuse_run_length(w);
        const int32_t padded = pads_rows(p) ? padded_rows_bytes(w, band_rows(w)) : ost_reuse_padded_bytes(w);
        const int32_t gather = ost_reuse_gather_bytes(w, &p->slices, p->hash.words) / longest * run;
        s.map = (uint8_t *)take(base, &s.bytes, (run - 1) * p->rows * id_bytes + one);
        s.padded = (int8_t *)take(base, &s.bytes, padded);
        s.gather = (int8_t *)take(base, &s.bytes, gather);
    }
    s.pooled = (int8_t *)take(base, &s.bytes, ost_has_pool(&p->pool) ? w->output.channels : 0);
    return s;
}

OST_INLINE int arguments_are_valid(const ost_reuse_compiled_s8_params *p, const int8_t *in, const int8_t *out)
{
    if (!(p && in && out && p->table && p->offset && p->paired && p->hash.offsets && p->hash.vectors &&
          ost_window_is_valid(&p->window) && p->hash.hashes >= 1 && p->hash.hashes <= 12 && p->hash.words >= 1 &&
          p->rows >= 1 && p->fraction_bits >= 1 && p->fraction_bits <= 7 && p->length >= 1 &&
          p->out_stride >= p->window.output.channels && ost_pool_is_valid(&p->pool, &p->window.output))) {
        return 0;
    }
    if (p->mapped) {
        return p->padding_ids && ost_reuse_map_is_valid(&p->map, &p->window) &&
               p->map.window.input.channels % p->length == 0 && p->hash.words == (p->length + 3) / 4 &&
               p->rows == ost_window_columns(&p->map.window) / p->length;
    }
    return p->slices.starts && p->rows == p->slices.count;
}

/* The output at (y, x), whose ids are known: the first of its pooled pixel is stored there, the largest stays. */
OST_INLINE void recover_pooled(const ost_reuse_compiled_s8_params *p, const ost_lookup *lookup, const void *ids,
                               int32_t y, int32_t x, int8_t *buffer, int8_t *out)
{
    const ost_size2 *pool = &p->pool;
    const int32_t width = p->window.output.width / pool->width;
    int8_t *to = out + (y / pool->height * width + x / pool->width) * p->out_stride;
    if (y % pool->height == 0 && x % pool->width == 0) {
        ost_reuse_lookup(lookup, ids, to);
        return;
    }
    ost_reuse_lookup(lookup, ids, buffer);
    ost_max_bytes(to, buffer, lookup->channels);
}

/* Outputs that are part of a pooled pixel. */
OST_INLINE ost_size2 pooled_part(const ost_reuse_compiled_s8_params *p)
{
    const ost_shape *size = &p->window.output;
    const ost_size2 part = {size->height - size->height % p->pool.height, size->width - size->width % p->pool.width};
    return part;
}

/* The part of the map that row `oy` of outputs reads. With a band, rows of the last one's that are still read move up, and
 * those below them are made. */
OST_INLINE const uint8_t *map_for(const ost_reuse_compiled_s8_params *p, const ost_id_window *window,
                                  const compiled_scratch *m, const int8_t *in, int32_t oy)
{
    const int32_t bytes = ost_reuse_map_row_bytes(p), held = band_rows(&p->map.window);
    const int32_t step = p->map.window.stride.height, top = oy * step;
    if (!p->band) {
        return m->map + oy * window->step_y;
    }
    const int32_t kept = oy > 0 && step < held ? held - step : 0;
    ost_copy_bytes((int8_t *)m->map, (const int8_t *)m->map + step * bytes, kept * bytes);
    ost_reuse_map_rows(p, in, top + kept, top + held, m->padded, m->tail, m->map + kept * bytes);
    return m->map;
}

/* Every output's window of the id map. */
OST_PHASE_FUNCTION static void ost_reuse_recover_windows(const ost_reuse_compiled_s8_params *p,
                                                         const ost_lookup *lookup, const compiled_scratch *m,
                                                         const int8_t *in, int8_t *out)
{
    const ost_id_window window = ost_reuse_id_window(p);
    const ost_shape size = p->window.output;
    for (int32_t oy = 0; oy < size.height; oy++) {
        const uint8_t *corner = map_for(p, &window, m, in, oy);
        for (int32_t ox = 0; ox < size.width; ox++, corner += window.step_x, out += p->out_stride) {
            ost_reuse_window_ids(&window, corner, m->ids);
            ost_reuse_lookup(lookup, m->ids, out);
        }
    }
}

/* The same, pooled. */
OST_PHASE_FUNCTION static void ost_reuse_pool_windows(const ost_reuse_compiled_s8_params *p, const ost_lookup *lookup,
                                                      const compiled_scratch *m, const int8_t *in, int8_t *out)
{
    const ost_id_window window = ost_reuse_id_window(p);
    const ost_size2 part = pooled_part(p);
    for (int32_t oy = 0; oy < part.height; oy++) {
        const uint8_t *corner = map_for(p, &window, m, in, oy);
        for (int32_t ox = 0; ox < part.width; ox++, corner += window.step_x) {
            ost_reuse_window_ids(&window, corner, m->ids);
            recover_pooled(p, lookup, m->ids, oy, ox, m->pooled, out);
        }
    }
}

/* Runs of outputs: their ids first, then their sums. */
OST_PHASE_FUNCTION static void ost_reuse_recover_runs(const ost_reuse_compiled_s8_params *p, const ost_lookup *lookup,
                                                      const compiled_scratch *m, const int8_t *x, int8_t *out)
{
    const ost_window *w = &p->window;
    const int32_t longest = run_of(p), step = p->rows * ost_lookup_id_bytes(p->hash.hashes);
    const ost_size2 part = pooled_part(p);
    for (int32_t oy = 0; oy < part.height; oy++) {
        const int32_t y = pads_rows(p) ? 0 : oy; /* in what there is of the padded input */
        if (pads_rows(p)) {
            ost_reuse_pad_rows(w, p->input_zero_point, x, oy * w->stride.height, band_rows(w), m->padded);
        }
        for (int32_t ox = 0; ox < part.width; ox += longest) {
            const int32_t left = part.width - ox, count = left < longest ? left : longest;
            ost_reuse_row_ids(p, pads_rows(p) ? m->padded : x, y, ox, count, m->gather, m->map);
            for (int32_t n = 0; n < count && ost_has_pool(&p->pool); n++) {
                recover_pooled(p, lookup, m->map + n * step, oy, ox + n, m->pooled, out);
            }
            for (int32_t n = 0; n < count && !ost_has_pool(&p->pool); n++, out += p->out_stride) {
                ost_reuse_lookup(lookup, m->map + n * step, out);
            }
        }
    }
}

int32_t ost_reuse_compiled_s8_scratch_bytes(const ost_reuse_compiled_s8_params *params)
{
    return lay_out(params, NULL).bytes;
}

ost_status ost_reuse_compiled_s8(const ost_reuse_compiled_s8_params *params, const ost_scratch *scratch,
                                 const int8_t *in, int8_t *out)
{
    const ost_reuse_compiled_s8_params *p = params;
    if (!arguments_are_valid(p, in, out)) {
        return OST_BAD_ARGUMENT;
    }
    const compiled_scratch m = lay_out(p, scratch ? scratch->data : NULL);
    if (!scratch || !scratch->data || scratch->bytes < m.bytes) {
        return OST_NO_SCRATCH;
    }
    const int32_t channels = p->window.output.channels;
    ost_lookup lookup = {p->hash.hashes, p->rows,  (channels + OST_LOOKUP_TILE - 1) / OST_LOOKUP_TILE,
                         channels,       p->table, p->offset,
                         p->paired,      p->fraction_bits, p->wide_offset, 0};
    lookup.alike = ost_lookup_alike(&lookup, 0);
    const int8_t *x = in;
    if (!p->band && (p->mapped ? p->map.padded : ost_reuse_is_padded(&p->window))) {
        ost_reuse_pad_input(&p->window, p->input_zero_point, in, m.padded);
        x = m.padded;
    }
    if (p->mapped && !p->band) {
        ost_reuse_map_ids(p, x, m.tail, m.map);
    }
    if (p->mapped) {
        ost_has_pool(&p->pool) ? ost_reuse_pool_windows(p, &lookup, &m, x, out)
                               : ost_reuse_recover_windows(p, &lookup, &m, x, out);
        return OST_OK;
    }
    ost_reuse_recover_runs(p, &lookup, &m, x, out);
    return OST_OK;
}
