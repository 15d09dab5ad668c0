/* The state of guards; mirrored by guards.py. */
#ifndef OSTINATO_GUARD_HOOK_H
#define OSTINATO_GUARD_HOOK_H

#include <stdint.h>

typedef struct {
    uint64_t begin, end;
    uint64_t writable;
} guard_area;

typedef struct {
    const guard_area *watched; /* where accesses are checked */
    uint64_t watched_count;
    const guard_area *allowed; /* what may be touched there */
    uint64_t allowed_count;
    uint64_t resume; /* nothing is checked before this address is executed; 0: always */
    uint64_t address, size, write, pc; /* the first access that was refused; size 0: none yet */
} guard_state;

/* Whether the instruction at `pc` may touch `size` bytes; if not, the state says what was refused. */
int guard_access(guard_state *g, uint64_t pc, uint64_t address, int size, int write);

#endif
