/* What the STM32F7 boards have in common beyond stm32.h (reference manual RM0410, ARMv7-M Architecture Reference Manual). */
#ifndef STM32F7_H
#define STM32F7_H

#include "stm32.h"

#define SCB_CCR REG(0xE000ED14u)
#define SCB_CCSIDR REG(0xE000ED80u)
#define SCB_CSSELR REG(0xE000ED84u)
#define SCB_ICIALLU REG(0xE000EF50u)
#define SCB_DCISW REG(0xE000EF60u)

/* Invalidate, then enable (ARMv7-M, B2.2.7). */
static inline void stm32f7_caches(void)
{
    SCB_ICIALLU = 0;
    SCB_CSSELR = 0; /* the data cache */
    __asm volatile("dsb" ::: "memory");
    const uint32_t sets = SCB_CCSIDR >> 13 & 0x7FFFu, ways = SCB_CCSIDR >> 3 & 0x3FFu;
    for (uint32_t set = 0; set <= sets; set++) {
        for (uint32_t way = 0; way <= ways; way++) {
            SCB_DCISW = way << 30 | set << 5; /* 4 ways, lines of 32 bytes */
        }
    }
    __asm volatile("dsb" ::: "memory");
    SCB_CCR |= 1u << 17 | 1u << 16; /* IC, DC */
    __asm volatile("dsb\n\tisb" ::: "memory");
}

/* 216 MHz; 7 wait states; prefetch and ART accelerator (which serve the ITCM port of the flash). */
static inline void stm32f7_clock(void)
{
    stm32_clock(216, 9, 1u << 9 | 1u << 8 | 7u);
}

static inline void stm32f7_usart(uint32_t usart, uint32_t clock_hz)
{
    REG(usart + 0x0Cu) = (clock_hz + 57600u) / 115200u; /* BRR */
    REG(usart) = 1u << 3 | 1u;                          /* CR1: TE, UE */
}

static inline void stm32f7_putc(uint32_t usart, char c)
{
    while (!(REG(usart + 0x1Cu) & (1u << 7))) { /* ISR: TXE */
    }
    REG(usart + 0x28u) = (uint8_t)c; /* TDR */
}

#endif /* STM32F7_H */
