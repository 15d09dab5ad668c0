/* QUADSPI of the STM32F4 and STM32F7 (reference manuals RM0386 and RM0410): single commands to a serial flash, and the mode
 * in which its contents are memory at 0x90000000. */
#ifndef QUADSPI_H
#define QUADSPI_H

#include "stm32.h"

#define QUADSPI_CR REG(0xA0001000u)
#define QUADSPI_DCR REG(0xA0001004u)
#define QUADSPI_SR REG(0xA0001008u)
#define QUADSPI_FCR REG(0xA000100Cu)
#define QUADSPI_DLR REG(0xA0001010u)
#define QUADSPI_CCR REG(0xA0001014u)
#define QUADSPI_DR (*(volatile uint8_t *)0xA0001020u)

#define QUADSPI_ABORT (1u << 1)
#define QUADSPI_DONE (1u << 1) /* of SR and FCR: transfer complete */
#define QUADSPI_BUSY (1u << 5)

/* Fields of CCR; lines: 0 for none, 1 for one, 3 for four. */
#define QUADSPI_INSTRUCTION(code, lines) ((uint32_t)(code) | (uint32_t)(lines) << 8)
#define QUADSPI_ADDRESS(bytes, lines) ((uint32_t)(lines) << 10 | (uint32_t)((bytes) - 1) << 12)
#define QUADSPI_DUMMY(cycles) ((uint32_t)(cycles) << 18)
#define QUADSPI_DATA(lines) ((uint32_t)(lines) << 24)
#define QUADSPI_READ (1u << 26)
#define QUADSPI_MAPPED (3u << 26)

/* Half the core's clock; `size` is the exponent of the flash's bytes, `deselect` the clocks between commands. */
static inline void quadspi_on(uint32_t size, uint32_t deselect)
{
    RCC_AHB3ENR |= 1u << 1; /* QSPIEN */
    (void)RCC_AHB3ENR;
    QUADSPI_DCR = (size - 1) << 16 | (deselect - 1) << 8;
    QUADSPI_CR = 1u << 24 | 1u << 4 | 1u; /* PRESCALER, SSHIFT: sample half a clock later, EN */
}

static inline void quadspi_wait(void)
{
    while (QUADSPI_SR & QUADSPI_BUSY) {
    }
}

static inline void quadspi_finish(void)
{
    while (!(QUADSPI_SR & QUADSPI_DONE)) {
    }
    QUADSPI_FCR = QUADSPI_DONE;
    QUADSPI_CR |= QUADSPI_ABORT; /* empties the FIFO of what was read too much */
    quadspi_wait();
}

/* An instruction alone, on `lines`. */
static inline void quadspi_command(uint32_t code, uint32_t lines)
{
    quadspi_wait();
    QUADSPI_FCR = QUADSPI_DONE;
    QUADSPI_CCR = QUADSPI_INSTRUCTION(code, lines);
    quadspi_finish();
}

/* A register of the flash, on one line. */
static inline uint8_t quadspi_read(uint32_t code)
{
    quadspi_wait();
    QUADSPI_FCR = QUADSPI_DONE;
    QUADSPI_DLR = 0; /* one byte */
    QUADSPI_CCR = QUADSPI_READ | QUADSPI_DATA(1) | QUADSPI_INSTRUCTION(code, 1);
    while (!(QUADSPI_SR & QUADSPI_DONE)) {
    }
    const uint8_t value = QUADSPI_DR;
    quadspi_finish();
    return value;
}

/* Write enable, then one or two bytes to a register of the flash, on one line. */
static inline void quadspi_write(uint32_t code, uint32_t count, uint8_t first, uint8_t second)
{
    quadspi_command(0x06, 1);
    quadspi_wait();
    QUADSPI_FCR = QUADSPI_DONE;
    QUADSPI_DLR = count - 1;
    QUADSPI_CCR = QUADSPI_DATA(1) | QUADSPI_INSTRUCTION(code, 1);
    QUADSPI_DR = first;
    if (count > 1) {
        QUADSPI_DR = second;
    }
    quadspi_finish();
}

/* Until the flash is ready: bit 0 of its status register. */
static inline void quadspi_ready(void)
{
    while (quadspi_read(0x05) & 1u) {
    }
}

/* A little longer than a flash's reset takes, at any clock. */
static inline void quadspi_pause(void)
{
    for (volatile int n = 0; n < 50000; n++) {
    }
}

static inline void quadspi_map(uint32_t ccr)
{
    quadspi_wait();
    QUADSPI_CCR = QUADSPI_MAPPED | ccr;
}

#endif /* QUADSPI_H */
