/* Counts the executions of translated blocks for Unicorn (UC_HOOK_BLOCK). Built for the host; the structure is mirrored by
 * hook.py, whose Python twin gives the same counts. */
#include <stdint.h>

#include "code_map.h"

typedef struct {
    code_map map;             /* the code that is counted */
    uint64_t *enter;          /* [slots] blocks that begin here */
    uint64_t *leave;          /* [slots] blocks that end just before here */
    uint64_t *fall;           /* [slots] blocks that begin here right after the block that ends here */
    const uint32_t *descent;  /* [slots] bytes that the stack grows by from here to the next branch */
    uint64_t stop;            /* the address where emulation ends: not counted */
    uint64_t previous_end;    /* end of the block before */
    int64_t lowest_sp;        /* smallest stack pointer seen */
    int64_t stack_limit;      /* smallest one allowed */
    uint64_t overflow_at;     /* block in which the stack went below the limit, 0 if none */
    uint64_t outside;         /* last block outside the counted range, 0 if none */
    int (*reg_read)(void *uc, int reg, void *value);
    int (*emu_stop)(void *uc);
    int32_t sp_register;
} block_counter;

void count_block(void *uc, uint64_t address, uint32_t size, void *user) {
    block_counter *c = (block_counter *)user;
    if (address == c->stop) return;
    uint64_t range_end = 0;
    const int64_t begin = code_slot(&c->map, address, &range_end), end = begin + (size >> 1);
    if (begin < 0 || address + size > range_end) {
        c->outside = address;
        return;
    }
    c->fall[begin] += address == c->previous_end;
    c->enter[begin]++;
    c->leave[end]++;
    c->previous_end = address + size;
    if (c->descent[begin]) {
        uint32_t sp = 0;
        c->reg_read(uc, c->sp_register, &sp);
        const int64_t lowest = (int64_t)sp - c->descent[begin];
        if (lowest < c->lowest_sp) c->lowest_sp = lowest > 0 ? lowest : 0;
        if (lowest < c->stack_limit && !c->overflow_at) {
            c->overflow_at = address;
            c->emu_stop(uc);
        }
    }
}
