/* Stall cycles of a memory system, from every executed instruction and every access to data, in order. Built for the host;
 * the structures are mirrored by memory/hook.py, and docs/boards.md says what they model. access_hook.c calls it.
 *
 * Time is the sum of the instructions' own cycles (`cost`, from the core's cycle model) and of the stalls found so far: a
 * prefetch runs beside the core and hides as much of a wait as that time covers. */
#include "memory_hook.h"

#include <stdbool.h>

/* Whether the line is there; if not, it replaces the one that was used longest ago. */
static bool find_or_fill(cache_t *c, uint64_t line) {
    const uint64_t first = (line % c->sets) * c->ways;
    uint64_t oldest = first;
    c->clock++;
    for (uint64_t k = first; k < first + c->ways; k++) {
        if (c->tags[k] == line + 1) {
            c->stamps[k] = c->clock;
            return true;
        }
        if (c->stamps[k] < c->stamps[oldest]) oldest = k;
    }
    c->tags[oldest] = line + 1;
    c->stamps[oldest] = c->clock;
    return false;
}

static bool holds(const cache_t *c, uint64_t line) {
    const uint64_t first = c->sets ? (line % c->sets) * c->ways : 0;
    for (uint64_t k = first; c->sets && k < first + c->ways; k++)
        if (c->tags[k] == line + 1) return true;
    return false;
}

static void wait_for(memory_state *m, double *where, double cycles) {
    where[m->at] += cycles;
    m->now += cycles;
}

/* A read of the flash itself, behind whatever read is under way there. */
static void read_flash(memory_state *m, double *where) {
    const double start = m->flash_free > m->now ? m->flash_free : m->now;
    m->flash_free = start + m->flash_wait + 1;
    m->flash_reads++;
    wait_for(m, where, start - m->now + m->flash_wait);
}

static void fetch_flash(memory_state *m, uint64_t address) {
    const uint64_t line = address >> m->flash_line_shift;
    if (line + 1 == m->code_line) return;
    m->code_line = line + 1;
    const bool cached = m->code.sets && find_or_fill(&m->code, line);
    if (!cached) {
        m->code_misses++;
        if (line + 1 == m->ahead_line) {
            if (m->ahead_ready > m->now) wait_for(m, m->fetch, m->ahead_ready - m->now);
        } else {
            read_flash(m, m->fetch);
        }
    }
    if (m->prefetch && line + 2 != m->ahead_line && !holds(&m->code, line + 1)) {
        const double start = m->flash_free > m->now ? m->flash_free : m->now;
        m->ahead_line = line + 2;
        m->flash_free = m->ahead_ready = start + m->flash_wait + 1;
        m->flash_reads++;
    }
}

/* The core asks for three words ahead; each takes two cycles, more when data use the bus. */
static void fetch_serial(memory_state *m, uint64_t address) {
    const uint64_t word = address >> 2;
    if (word + 1 == m->word) return;
    if (word == m->word) { /* the next one: asked for when the third before it was taken */
        const double asked = m->taken_at[2] > m->word_ready ? m->taken_at[2] : m->word_ready;
        m->word_ready = asked + 2;
    } else {
        m->word_ready = m->now + 1; /* the first word's own cycle is part of the branch */
        m->taken_at[0] = m->taken_at[1] = m->taken_at[2] = m->now;
    }
    m->word = word + 1;
    if (m->word_ready > m->now) wait_for(m, m->fetch, m->word_ready - m->now);
    m->taken_at[2] = m->taken_at[1];
    m->taken_at[1] = m->taken_at[0];
    m->taken_at[0] = m->now;
}

static void fetch_half(memory_state *m, uint64_t address) {
    if (m->in_code_ram) return;
    if (address >= m->flash_begin && address < m->flash_end) {
        fetch_flash(m, address);
    } else if (m->serial_fetch) {
        fetch_serial(m, address);
    } else if (address >= m->slow_begin && address < m->slow_end) {
        const uint64_t line = address >> m->code.line_shift;
        if (line + 1 == m->code_line) return;
        m->code_line = line + 1;
        if (!m->code.sets || !find_or_fill(&m->code, line)) {
            m->code_misses++;
            wait_for(m, m->fetch, m->slow_wait);
        }
    }
}

void memory_instruction(memory_state *m, int64_t slot, uint64_t address, uint32_t size) {
    if (address != m->previous_end && m->previous_end) {
        if (!m->branches[m->at] && address > m->previous_end && address - m->previous_end <= 16) {
            /* instructions of an IT block whose condition failed: a cycle each, not seen by the hook */
            for (int64_t k = m->at + 1; k < slot; k++) m->now += m->cost[k] > 0;
        } else {
            m->now += m->taken;
        }
    }
    m->at = slot;
    m->in_code_ram = address < m->code_ram_end;
    const double before = m->now;
    if (!m->ideal) {
        fetch_half(m, address);
        if (size == 4) fetch_half(m, address + 2);
    }
    m->last_fetch = m->now - before;
    m->now += m->cost[slot];
    m->previous_end = address + size;
}

/* Transfers beyond the first. ARM DDI 0439 for single loads and stores: a word at an odd address goes as a byte, a half-word
 * and a byte, one at an even address as two half-words; a half-word at an odd address as two bytes. */
static int extra_transfers(const memory_state *m, uint64_t address, int size, int write) {
    if (m->unaligned_loads) return write ? 0 : (int)m->unaligned_loads;
    if (size == 4) return address & 1 ? 2 : (address & 2) != 0;
    return size == 2 && (address & 1);
}

/* QUADSPI in memory-mapped mode (RM0386, RM0410: QUADSPI functional description). It goes on reading behind the last address until its FIFO is full,
 * which holds the serial clock; any other address ends the burst. */
static void read_serial(memory_state *m, uint64_t address, double bytes) {
    double wait = m->external_burst + bytes * m->external_byte;
    if (address == m->external_next) {
        const double arrived = m->external_ahead + (m->now - m->external_since) / m->external_byte;
        m->external_ahead = (arrived < m->external_fifo ? arrived : m->external_fifo) - bytes;
        wait = m->external_ahead < 0 ? -m->external_ahead * m->external_byte : 0;
        if (m->external_ahead < 0) m->external_ahead = 0;
    } else {
        m->external_bursts++;
        m->external_ahead = 0;
    }
    wait_for(m, m->external, wait);
    m->external_since = m->now;
    m->external_next = address + (uint64_t)bytes;
    m->external_bytes += (uint64_t)bytes;
}

static void read_external(memory_state *m, uint64_t address, int size) {
    if (!m->external_cached) {
        read_serial(m, address, size);
        return;
    }
    const uint32_t shift = m->values.line_shift;
    const uint64_t last = (address + (uint64_t)size - 1) >> shift;
    for (uint64_t line = address >> shift; line <= last; line++) {
        if (find_or_fill(&m->values, line)) continue;
        m->value_misses++;
        read_serial(m, line << shift, (double)(1u << shift));
    }
}

void memory_access(memory_state *m, uint64_t address, int size, int write) {
    m->accesses++;
    if (address >= m->external_begin && address < m->external_end) read_external(m, address, size);
    if (m->ideal) return;
    if (address % (uint64_t)size) {
        const int extra = extra_transfers(m, address, size, write);
        m->unaligned_accesses++;
        if (extra) wait_for(m, m->unaligned, extra);
    }
    if (address >= m->flash_begin && address < m->flash_end) {
        const uint32_t shift = m->values.sets ? m->values.line_shift : m->flash_line_shift;
        const uint64_t last = (address + (uint64_t)size - 1) >> shift;
        for (uint64_t line = address >> shift; line <= last; line++) {
            if (m->values.sets ? find_or_fill(&m->values, line) : line + 1 == m->value_line) continue;
            m->value_line = line + 1;
            m->value_misses++;
            read_flash(m, m->data);
        }
    } else if (address >= m->slow_begin && address < m->slow_end) {
        const uint64_t last = (address + (uint64_t)size - 1) >> m->values.line_shift;
        for (uint64_t line = address >> m->values.line_shift; line <= last; line++) {
            if (m->values.sets && find_or_fill(&m->values, line)) continue;
            m->value_misses++;
            if (!write) wait_for(m, m->data, m->slow_wait); /* the store buffer hides writes */
        }
    } else if (m->in_code_ram) {
        if (address >= m->shared_begin && address < m->shared_end) wait_for(m, m->data, 1);
    } else if (m->serial_fetch) {
        m->word_ready += 1; /* data go first on the bus that code shares with them */
    }
}
