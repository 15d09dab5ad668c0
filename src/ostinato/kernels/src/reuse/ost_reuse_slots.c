/* From ids to slots (ost_reuse_slots.h). */
#include "ost_reuse_slots.h"

#include "../support/ost_window.h"

#define FREE 255

OST_PHASE_FUNCTION void ost_reuse_clear_slots(ost_slot_map *map)
{
    ost_fill_bytes((int8_t *)map->slots, -1, 1 << map->bits);
    map->used = 0;
}

/* The slot of an id. There always is a free place, at which the search ends. */
OST_INLINE int32_t find_slot(ost_slot_map *map, uint32_t id)
{
    const uint32_t mask = (1u << map->bits) - 1;
    uint32_t place = (id * 0x9e3779b1u) >> (32 - map->bits); /* multiplicative hashing: neighbours are spread */
    while (map->slots[place] != FREE) {
        if (map->keys[place] == id) {
            return map->slots[place];
        }
        place = (place + 1) & mask;
    }
    if (map->used == map->most) {
        return map->most;
    }
    map->keys[place] = (uint16_t)id;
    map->slots[place] = (uint8_t)map->used;
    return map->used++;
}

OST_PHASE_FUNCTION int32_t ost_reuse_find_slots(ost_slot_map *map, const uint16_t *ids, int32_t count, uint8_t *slots,
                                                int32_t step)
{
    uint32_t last = UINT32_MAX; /* neighbours often have the same id */
    int32_t slot = 0, missing = 0;
    for (int32_t n = 0; n < count; n++, slots += step) {
        if (ids[n] != last) {
            last = ids[n];
            slot = find_slot(map, last);
        }
        *slots = (uint8_t)slot;
        missing += slot == map->most;
    }
    return missing;
}
