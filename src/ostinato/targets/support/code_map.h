/* Executable ranges as one run of half-word slots; mirrored by codemap.py. */
#ifndef OSTINATO_CODE_MAP_H
#define OSTINATO_CODE_MAP_H

#include <stdint.h>

typedef struct {
    uint64_t count;
    uint64_t begin[4], end[4]; /* addresses */
    uint64_t first[4];         /* slot of each range's begin; a range's end has a slot of its own */
} code_map;

/* The slot of an address in a range, -1 for any other. `end` receives the end of that range. */
static inline int64_t code_slot(const code_map *map, uint64_t address, uint64_t *end) {
    for (uint64_t k = 0; k < map->count; k++) {
        if (address - map->begin[k] < map->end[k] - map->begin[k]) {
            *end = map->end[k];
            return (int64_t)(map->first[k] + ((address - map->begin[k]) >> 1));
        }
    }
    return -1;
}

#endif
