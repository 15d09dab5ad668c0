/* NUCLEO-F767ZI: 216 MHz, USART3 on PD8 and PD9, which the on-board ST-LINK shows as a virtual COM port. Code and constants
 * are read over the AXI bus through the Cortex-M7's caches. */
#include "board.h"
#include "stm32f7.h"

const uint32_t board_clock_hz = 216000000u;

void board_init(void)
{
    stm32f7_caches();
    stm32f7_clock();

    RCC_AHB1ENR |= 1u << 3;  /* GPIOD */
    RCC_APB1ENR |= 1u << 18; /* USART3 */
    (void)RCC_APB1ENR;
    stm32_alternate(GPIOD, 8, 7);
    stm32_alternate(GPIOD, 9, 7);
    stm32f7_usart(USART3, 54000000u); /* from APB1 */

    stm32_cycle_counter();
}

void board_putc(char c)
{
    stm32f7_putc(USART3, c);
}

uint32_t board_cycles(void)
{
    return DWT_CYCCNT;
}
