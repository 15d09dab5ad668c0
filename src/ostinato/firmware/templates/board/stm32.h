/* Registers that the STM32F4 and STM32F7 have in common (reference manuals RM0386 and RM0410; for DWT and SCB the ARMv7-M
 * Architecture Reference Manual), and what both boards do with them. */
#ifndef STM32_H
#define STM32_H

#include <stdint.h>

#define REG(address) (*(volatile uint32_t *)(address))

#define RCC_CR REG(0x40023800u)
#define RCC_PLLCFGR REG(0x40023804u)
#define RCC_CFGR REG(0x40023808u)
#define RCC_AHB1ENR REG(0x40023830u)
#define RCC_AHB3ENR REG(0x40023838u)
#define RCC_APB1ENR REG(0x40023840u)
#define RCC_APB2ENR REG(0x40023844u)
#define PWR_CR REG(0x40007000u)
#define PWR_CSR REG(0x40007004u)
#define FLASH_ACR REG(0x40023C00u)
#define USART1 0x40011000u
#define USART3 0x40004800u

#define GPIOA 0x40020000u
#define GPIOB 0x40020400u
#define GPIOD 0x40020C00u
#define GPIOF 0x40021400u

#define DEMCR REG(0xE000EDFCu)
#define DWT_CTRL REG(0xE0001000u)
#define DWT_CYCCNT REG(0xE0001004u)
#define DWT_LAR REG(0xE0001FB0u)

/* The core at 16 MHz / 8 * n / 2 from the internal oscillator: no crystal or jumper matters, about 1 % is enough for the
 * serial port, and cycle counts do not depend on it. APB1 has a quarter of that clock, APB2 half. Needs over-drive. */
static inline void stm32_clock(uint32_t n, uint32_t q, uint32_t flash_acr)
{
    RCC_APB1ENR |= 1u << 28; /* PWREN */
    (void)RCC_APB1ENR;
    RCC_CR |= 1u; /* HSION */
    while (!(RCC_CR & (1u << 1))) { /* HSIRDY */
    }
    RCC_PLLCFGR = 2u << 28 | q << 24 | n << 6 | 8u; /* R, Q, source HSI, P = 2, N, M */
    RCC_CR |= 1u << 24;                             /* PLLON */
    PWR_CR |= 1u << 16;                             /* ODEN */
    while (!(PWR_CSR & (1u << 16))) {               /* ODRDY */
    }
    PWR_CR |= 1u << 17;               /* ODSWEN */
    while (!(PWR_CSR & (1u << 17))) { /* ODSWRDY */
    }
    FLASH_ACR = flash_acr; /* before the clock rises */
    while ((FLASH_ACR & 15u) != (flash_acr & 15u)) {
    }
    RCC_CFGR |= 4u << 13 | 5u << 10; /* APB2 / 2, APB1 / 4 */
    while (!(RCC_CR & (1u << 25))) { /* PLLRDY */
    }
    RCC_CFGR |= 2u; /* SW: the PLL */
    while ((RCC_CFGR & 12u) != 8u) {
    }
}

/* A pin as alternate function `function`, at the highest speed. */
static inline void stm32_alternate(uint32_t port, uint32_t pin, uint32_t function)
{
    const uint32_t select = port + 0x20u + 4u * (pin / 8u), shift = 4u * (pin % 8u);
    REG(select) = (REG(select) & ~(15u << shift)) | function << shift;
    REG(port) = (REG(port) & ~(3u << 2u * pin)) | 2u << 2u * pin; /* MODER */
    REG(port + 8u) |= 3u << 2u * pin;                             /* OSPEEDR */
}

static inline void stm32_cycle_counter(void)
{
    DEMCR |= 1u << 24;     /* TRCENA */
    DWT_LAR = 0xC5ACCE55u; /* unlocks it on the Cortex-M7; does nothing on the Cortex-M4 */
    DWT_CYCCNT = 0;
    DWT_CTRL |= 1u;
}

#endif /* STM32_H */
