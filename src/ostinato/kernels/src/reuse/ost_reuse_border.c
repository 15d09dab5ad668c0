/* Slices of windows that reach into padding (ost_reuse_border.h).
 *
 * Offsets are those of the padded copy that there is not: an offset's row and its place in that row say where it lies
 * in the input. What lies side by side is copied together at the windows that have all of it in the input. */
#include "ost_reuse_border.h"

#include "ost_reuse_gather.h"

/* The windows of a run, and where their vectors go. */
typedef struct {
    const int8_t *x;
    int32_t zero_point;
    int32_t height; /* rows of the input */
    int32_t inside; /* its elements in a row */
    int32_t padded; /* elements of a row with padding */
    int32_t top;    /* the first window's corner in the input: row */
    int32_t left;   /* element of the row */
    int32_t step;   /* elements between windows */
    int32_t count;
    int32_t pitch; /* bytes between vectors */
} border_run;

/* Of the first window: elements from `element` of row `row` on. */
typedef struct {
    int32_t row;
    int32_t element;
} border_place;

/* Windows [first, end). */
typedef struct {
    int32_t first;
    int32_t end;
} border_range;

OST_INLINE border_place locate(const border_run *run, int32_t offset)
{
    const int32_t row = offset / run->padded;
    const border_place place = {run->top + row, run->left + offset - row * run->padded};
    return place;
}

OST_INLINE int row_exists(const border_run *run, int32_t row)
{
    return row >= 0 && row < run->height;
}

OST_INLINE int32_t limit(int32_t value, int32_t least, int32_t most)
{
    return value < least ? least : value > most ? most : value;
}

/* Where elements `lowest` to `highest` of a row are in the input: lowest + n * step >= 0, highest + n * step < inside. */
OST_INLINE border_range inside_range(const border_run *run, int32_t lowest, int32_t highest)
{
    border_range range = {0, run->count};
    if (lowest < 0) {
        range.first = limit((run->step - 1 - lowest) / run->step, 0, run->count);
    }
    if (highest + (run->count - 1) * run->step >= run->inside) {
        const int32_t end = highest < run->inside ? (run->inside - 1 - highest) / run->step + 1 : 0;
        range.end = limit(end, range.first, run->count);
    }
    return range;
}

OST_INLINE int8_t value_at(const border_run *run, int32_t row, int32_t element)
{
    const int in = row_exists(run, row) && element >= 0 && element < run->inside;
    return in ? run->x[row * run->inside + element] : (int8_t)run->zero_point;
}

/* `words` words that lie side by side, of windows some of which have them in the padding. */
OST_PHASE_FUNCTION static void ost_reuse_border_edge(const border_run *run, border_place place, int32_t words,
                                                     border_range windows, int8_t *to)
{
    const uint32_t zeros = (uint8_t)run->zero_point * 0x01010101u;
    const int exists = row_exists(run, place.row);
    for (int32_t n = windows.first; n < windows.end; n++) {
        int32_t element = place.element + n * run->step;
        int8_t *word = to + n * run->pitch;
        for (int32_t w = 0; w < words; w++, element += 4, word += 4) {
            if (!exists || element <= -4 || element >= run->inside) {
                ost_store_u32(word, zeros);
            } else {
                for (int32_t k = 0; k < 4; k++) {
                    word[k] = value_at(run, place.row, element + k);
                }
            }
        }
    }
}

/* Words that lie side by side in a row. */
OST_PHASE_FUNCTION static void ost_reuse_border_span(const border_run *run, border_place place, int32_t words,
                                                     int8_t *to)
{
    border_range inside = {run->count, run->count};
    if (row_exists(run, place.row)) {
        inside = inside_range(run, place.element, place.element + 4 * words - 1);
    }
    const border_range before = {0, inside.first}, behind = {inside.end, run->count};
    const int8_t *from = run->x + place.row * run->inside + place.element + inside.first * run->step;
    int8_t *copy = to + inside.first * run->pitch;
    if (before.end > 0) {
        ost_reuse_border_edge(run, place, words, before, to);
    }
    for (int32_t n = inside.first; n < inside.end; n++, from += run->step, copy += run->pitch) {
        ost_copy_words(copy, from, words);
    }
    if (behind.end > behind.first) {
        ost_reuse_border_edge(run, place, words, behind, to);
    }
}

/* Four columns, wherever they are. */
OST_PHASE_FUNCTION static void ost_reuse_border_word(const border_run *run, const int32_t *offsets, int8_t *to)
{
    border_place place[4];
    int32_t at[4], lowest = INT32_MAX, highest = INT32_MIN, exist = 1;
    for (int32_t k = 0; k < 4; k++) {
        place[k] = locate(run, offsets[k]);
        at[k] = place[k].row * run->inside + place[k].element;
        exist &= row_exists(run, place[k].row);
        lowest = place[k].element < lowest ? place[k].element : lowest;
        highest = place[k].element > highest ? place[k].element : highest;
    }
    border_range inside = {run->count, run->count};
    if (exist) {
        inside = inside_range(run, lowest, highest);
    }
    for (int32_t n = 0; n < run->count; n++) {
        if (n == inside.first && inside.end > n) {
            const ost_gather gather = {run->x + n * run->step, at,         to + n * run->pitch,
                                       run->step,              run->pitch, inside.end - n};
            ost_reuse_gather_word(&gather);
            n = inside.end - 1;
            continue;
        }
        for (int32_t k = 0; k < 4; k++) {
            to[n * run->pitch + k] = value_at(run, place[k].row, place[k].element + n * run->step);
        }
    }
}

/* `words` words from an offset on, which need not lie in one row. */
OST_INLINE void copy_from(const border_run *run, int32_t offset, int32_t words, int8_t *to)
{
    const border_place place = locate(run, offset);
    if (place.element - run->left + 4 * words <= run->padded) {
        ost_reuse_border_span(run, place, words, to);
        return;
    }
    for (int32_t w = 0; w < words; w++, offset += 4) {
        const int32_t offsets[4] = {offset, offset + 1, offset + 2, offset + 3};
        ost_reuse_border_word(run, offsets, to + 4 * w);
    }
}

OST_INLINE void copy_gathered(const border_run *run, const int32_t *offsets, int32_t words, int8_t *to)
{
    while (words > 0) {
        const int32_t span = ost_reuse_span(offsets), done = span > 0 ? span : 1;
        if (span > 0) {
            copy_from(run, offsets[0], span, to);
        } else {
            ost_reuse_border_word(run, offsets, to);
        }
        offsets += 4 * done;
        to += 4 * done;
        words -= done;
    }
}

/* A contiguous slice that lies in the input at every window of the run: where; else NULL. */
OST_INLINE const int8_t *in_place(const border_run *run, int32_t start, int32_t values)
{
    const border_place place = locate(run, start);
    const int inside =
        place.element >= 0 && place.element + (run->count - 1) * run->step + values <= run->inside;
    return inside && row_exists(run, place.row) ? run->x + place.row * run->inside + place.element : NULL;
}

OST_PHASE_FUNCTION ost_slice_run ost_reuse_border_run(const ost_window *w, int32_t zero_point,
                                                      const ost_reuse_slices *slices, int32_t words, int32_t s,
                                                      const int8_t *x, int32_t oy, int32_t ox, int32_t count,
                                                      int8_t *buffer)
{
    const int32_t channels = w->input.channels, start = slices->starts[s];
    const border_run run = {x,
                            zero_point,
                            w->input.height,
                            w->input.width * channels,
                            (w->input.width + 2 * w->padding.width) * channels,
                            oy * w->stride.height - w->padding.height,
                            (ox * w->stride.width - w->padding.width) * channels,
                            w->stride.width * channels,
                            count,
                            words * 4};
    ost_slice_run made = {start >= 0 ? in_place(&run, start, words * 4) : NULL, run.step};
    if (made.vectors) {
        return made;
    }
    if (start >= 0) {
        copy_from(&run, start, words, buffer);
    } else {
        copy_gathered(&run, slices->gather + (-1 - start) * words * 4, words, buffer);
    }
    made.vectors = buffer;
    made.step = words * 4;
    return made;
}
