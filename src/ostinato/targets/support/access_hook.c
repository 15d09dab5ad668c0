/* Every executed instruction, and the bytes that it is about to read or write, for a memory system and for guards. Built for
 * the host; the structures are mirrored by accesses.py.
 *
 * Addresses are computed from the registers before the instruction runs. Unicorn's own hook for reads is not used: after a
 * conditional `pop {pc}` under it, version 2.1.4 takes the next instruction for a conditional one. */
#include <stddef.h>
#include <stdint.h>

#include "code_map.h"
#include "guard_hook.h"
#include "memory_hook.h"

typedef struct {
    int16_t base, index; /* Unicorn's register numbers, 0 for none */
    int32_t offset;
    uint8_t shift, size, count, write; /* count == 0: no access */
} operand;

typedef struct {
    code_map map;
    const operand *operands; /* [slots] */
    uint64_t stop;           /* the address where emulation ends: not executed */
    memory_state *memory;    /* or NULL */
    guard_state *guard;      /* or NULL */
    int (*reg_read)(void *uc, int reg, void *value);
    int (*emu_stop)(void *uc);
} access_state;

void access_instruction(void *uc, uint64_t address, uint32_t size, void *user) {
    access_state *const a = (access_state *)user;
    uint64_t end;
    const int64_t slot = code_slot(&a->map, address, &end);
    if (slot < 0 || address == a->stop) return;
    if (a->memory) memory_instruction(a->memory, slot, address, size);
    if (a->guard && a->guard->resume == address) a->guard->resume = 0;
    const operand *const o = &a->operands[slot];
    if (!o->count) return;

    uint32_t at = (uint32_t)o->offset, value = 0;
    if (o->base) {
        a->reg_read(uc, o->base, &value);
        at += value;
    }
    if (o->index) {
        a->reg_read(uc, o->index, &value);
        at += value << o->shift;
    }
    for (uint32_t k = 0; k < o->count; k++, at += o->size) {
        if (a->memory) memory_access(a->memory, at, o->size, o->write);
        if (a->guard && !a->guard->size && !a->guard->resume && !guard_access(a->guard, address, at, o->size, o->write)) {
            a->emu_stop(uc);
            return;
        }
    }
}
