/* Four columns of consecutive vectors, gathered into one word each (ost_reuse_gather.S and its twin). */
#ifndef OST_REUSE_GATHER_H
#define OST_REUSE_GATHER_H

#include "../support/ost_window.h"

/* The assembly knows the order of the fields. */
typedef struct {
    const int8_t *corner;   /* of the first vector's window */
    const int32_t *offsets; /* four, from the corner */
    int8_t *to;
    int32_t step;  /* bytes between the vectors' corners */
    int32_t pitch; /* bytes between the gathered words */
    int32_t count; /* vectors, at least 1 */
} ost_gather;

/* Words that lie one behind the other from this one on; 0: not even its columns do, each has an offset. */
OST_INLINE int32_t ost_reuse_span(const int32_t *offsets)
{
    return offsets[1] < 0 ? -offsets[1] : 0;
}

OST_INLINE void ost_copy_words(int8_t *to, const int8_t *from, int32_t words)
{
    for (; words >= 2; words -= 2, to += 8, from += 8) {
        const uint32_t first = ost_load_u32(from), second = ost_load_u32(from + 4);
        ost_store_u32(to, first);
        ost_store_u32(to + 4, second);
        OST_KEEP_LOOP();
    }
    if (words > 0) {
        ost_store_u32(to, ost_load_u32(from));
    }
}

void ost_reuse_gather_word(const ost_gather *gather);

#endif /* OST_REUSE_GATHER_H */
