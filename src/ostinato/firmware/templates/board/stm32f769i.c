/* STM32F769I-Discovery: 216 MHz, USART1 on PA9 and PA10, which the on-board ST-LINK shows as a virtual COM port. Code and
 * constants are read over the AXI bus through the Cortex-M7's caches. */
#include "board.h"
#include "stm32f7.h"

const uint32_t board_clock_hz = 216000000u;

void board_init(void)
{
    stm32f7_caches();
    stm32f7_clock();

    RCC_AHB1ENR |= 1u;      /* GPIOA */
    RCC_APB2ENR |= 1u << 4; /* USART1 */
    (void)RCC_APB2ENR;
    stm32_alternate(GPIOA, 9, 7);
    stm32_alternate(GPIOA, 10, 7);
    stm32f7_usart(USART1, 108000000u); /* from APB2 */

    stm32_cycle_counter();
}

void board_putc(char c)
{
    stm32f7_putc(USART1, c);
}

uint32_t board_cycles(void)
{
    return DWT_CYCCNT;
}
