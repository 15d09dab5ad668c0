/* From ids to slots: the places of a slice's clusters in its sums and in its table, for ids that are too many for a place
 * each. Open addressing with linear probing, at least two places for each slot: the first `most` different ids have
 * slots 0, 1, ... in the order in which they occur; any other id has slot `most`, which is no cluster's. */
#ifndef OST_REUSE_SLOTS_H
#define OST_REUSE_SLOTS_H

#include "../support/ost_simd.h"

#define OST_REUSE_MOST_SLOTS 255

typedef struct {
    uint16_t *keys;
    uint8_t *slots;
    int32_t bits; /* 2^bits places */
    int32_t most; /* slots, 1 to OST_REUSE_MOST_SLOTS */
    int32_t used;
} ost_slot_map;

/* log2 of the places for so many slots. */
OST_INLINE int32_t ost_reuse_slot_bits(int32_t slots)
{
    int32_t bits = 1;
    while ((1 << bits) < 2 * slots) {
        bits++;
    }
    return bits;
}

void ost_reuse_clear_slots(ost_slot_map *map);

/* The slots of `count` ids, `step` bytes apart; returns how many found none. */
int32_t ost_reuse_find_slots(ost_slot_map *map, const uint16_t *ids, int32_t count, uint8_t *slots, int32_t step);

#endif /* OST_REUSE_SLOTS_H */
