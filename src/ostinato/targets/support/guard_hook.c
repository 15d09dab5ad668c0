/* Checks accesses to guarded memory against the areas that the current layer may touch. Built for the host; access_hook.c
 * calls it. */
#include "guard_hook.h"

int guard_access(guard_state *g, uint64_t pc, uint64_t address, int size, int write) {
    const uint64_t end = address + (uint64_t)size;
    uint64_t k = 0;
    while (k < g->watched_count && !(address < g->watched[k].end && end > g->watched[k].begin)) k++;
    if (k == g->watched_count) return 1;
    for (uint64_t a = 0; a < g->allowed_count; a++) {
        const guard_area *const area = &g->allowed[a];
        if (address >= area->begin && end <= area->end && (area->writable || !write)) return 1;
    }
    g->address = address;
    g->size = (uint64_t)size;
    g->write = (uint64_t)write;
    g->pc = pc;
    return 0;
}
