/* What benchmark.c needs of a board: clocks at their maximum, a serial port, a cycle counter. */
#ifndef BOARD_H
#define BOARD_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Core clock after board_init(). */
extern const uint32_t board_clock_hz;

/* Clock, flash and caches, serial port (115200 baud, 8 bits, no parity, 1 stop bit), cycle counter. */
void board_init(void);

/* Makes external flash readable as memory, after board_init(). Only where constants are there (MODEL_EXTERNAL_BYTES). */
void board_map_external(void);

/* Sends one character over the serial port. */
void board_putc(char c);

/* The core's cycle counter (DWT->CYCCNT); it wraps after 2^32 cycles, some 20 seconds. */
uint32_t board_cycles(void);

#ifdef __cplusplus
}
#endif

#endif /* BOARD_H */
