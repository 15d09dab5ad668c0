/* NUCLEO-F767ZI: 216 MHz, USART3 on PD8 and PD9, which the on-board ST-LINK shows as a virtual COM port. Code and constants
 * are read over the AXI bus through the Cortex-M7's caches. */
#include "board.h"
#include "stm32.h"

#define SCB_CCR REG(0xE000ED14u)
#define SCB_CCSIDR REG(0xE000ED80u)
#define SCB_CSSELR REG(0xE000ED84u)
#define SCB_ICIALLU REG(0xE000EF50u)
#define SCB_DCISW REG(0xE000EF60u)

const uint32_t board_clock_hz = 216000000u;

/* Invalidate, then enable (ARMv7-M, B2.2.7). */
static void caches_on(void)
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

void board_init(void)
{
    caches_on();
    /* 7 wait states; prefetch and ART accelerator (which serve the ITCM port of the flash). */
    stm32_clock(216, 9, 1u << 9 | 1u << 8 | 7u);

    RCC_AHB1ENR |= 1u << 3;  /* GPIOD */
    RCC_APB1ENR |= 1u << 18; /* USART3 */
    (void)RCC_APB1ENR;
    stm32_alternate(GPIOD, 8, 7);
    stm32_alternate(GPIOD, 9, 7);
    REG(USART3 + 0x0Cu) = (54000000u + 57600u) / 115200u; /* BRR, from APB1 */
    REG(USART3) = 1u << 3 | 1u;                           /* CR1: TE, UE */

    stm32_cycle_counter();
}

void board_putc(char c)
{
    while (!(REG(USART3 + 0x1Cu) & (1u << 7))) { /* ISR: TXE */
    }
    REG(USART3 + 0x28u) = (uint8_t)c; /* TDR */
}

uint32_t board_cycles(void)
{
    return DWT_CYCCNT;
}
