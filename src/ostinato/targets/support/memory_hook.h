/* The state of a memory system; mirrored by memory/hook.py. */
#ifndef OSTINATO_MEMORY_HOOK_H
#define OSTINATO_MEMORY_HOOK_H

#include <stdint.h>

typedef struct {
    uint32_t line_shift, sets, ways, pad;
    uint64_t *tags;  /* [sets][ways] line number + 1, 0 for an empty way */
    uint64_t *stamps; /* [sets][ways] when it was used last */
    uint64_t clock;
} cache_t; /* sets == 0: there is none */

typedef struct {
    const double *cost;      /* [slots] cycles of each instruction */
    const uint8_t *branches; /* [slots] whether it may branch */
    double *fetch;           /* [slots] stalls while fetching the instruction here */
    double *data;            /* [slots] stalls of its reads and writes */
    double *unaligned;       /* [slots] extra transfers of its unaligned accesses */
    double *external;        /* [slots] its reads of external flash */
    double taken;            /* cycles of a taken branch */

    uint64_t flash_begin, flash_end;
    double flash_wait; /* cycles beyond the first for a line that is in no cache */
    uint32_t flash_line_shift;
    int32_t prefetch;     /* read the next line while the core executes this one */
    cache_t code, values; /* caches of instructions and of data */

    uint64_t slow_begin, slow_end; /* RAM behind a bus, cached */
    double slow_wait;
    uint64_t code_ram_end;              /* code below this address is fetched at once, */
    uint64_t shared_begin, shared_end; /* but data here come from the same RAM and wait for it */
    int32_t serial_fetch;   /* code outside flash comes over the system bus, one word in two cycles */
    uint32_t unaligned_loads; /* cycles of an unaligned load, stores being free; 0: see extra_transfers */

    uint64_t external_begin, external_end; /* flash behind QUADSPI */
    double external_burst, external_byte;  /* cycles to the first data of a burst, and for each byte of them */
    double external_fifo;                  /* bytes that are read ahead */
    int32_t external_cached;               /* by `values` */
    int32_t ideal;                         /* nothing but external flash costs anything */

    double now;
    uint64_t previous_end;
    int64_t at;          /* slot of the instruction in progress */
    int32_t in_code_ram, pad;
    uint64_t code_line;  /* the line that was fetched last + 1 */
    uint64_t value_line; /* the flash line that was read last + 1, where data have no cache */
    uint64_t ahead_line; /* the line in the prefetch buffer + 1 */
    double ahead_ready, flash_free;
    double last_fetch;        /* stalls of fetching the instruction in progress */
    uint64_t word;            /* system bus: the word that was fetched last + 1 */
    double word_ready, taken_at[3]; /* ... when it arrived, and when the core took the last three */
    uint64_t external_next;                /* the address behind the last read of the burst */
    double external_ahead, external_since; /* bytes in the FIFO, at this time */
    uint64_t flash_reads, unaligned_accesses, code_misses, value_misses, accesses, external_bursts, external_bytes;
} memory_state;

/* An instruction of `size` bytes at `slot` is about to run. */
void memory_instruction(memory_state *m, int64_t slot, uint64_t address, uint32_t size);

/* It reads or writes `size` bytes. */
void memory_access(memory_state *m, uint64_t address, int size, int write);

#endif
