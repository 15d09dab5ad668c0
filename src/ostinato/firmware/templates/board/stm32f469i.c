/* STM32F469I-Discovery: 180 MHz, USART3 on PB10 and PB11, which the on-board ST-LINK shows as a virtual COM port. */
#include "board.h"
#include "stm32.h"

const uint32_t board_clock_hz = 180000000u;

void board_init(void)
{
    /* 5 wait states; prefetch, instruction and data cache of the ART accelerator. */
    stm32_clock(180, 8, 1u << 10 | 1u << 9 | 1u << 8 | 5u);

    RCC_AHB1ENR |= 1u << 1;  /* GPIOB */
    RCC_APB1ENR |= 1u << 18; /* USART3 */
    (void)RCC_APB1ENR;
    stm32_alternate(GPIOB, 10, 7);
    stm32_alternate(GPIOB, 11, 7);
    REG(USART3 + 0x08u) = (45000000u + 57600u) / 115200u; /* BRR, from APB1 */
    REG(USART3 + 0x0Cu) = 1u << 13 | 1u << 3;             /* CR1: UE, TE */

    stm32_cycle_counter();
}

void board_putc(char c)
{
    while (!(REG(USART3) & (1u << 7))) { /* SR: TXE */
    }
    REG(USART3 + 0x04u) = (uint8_t)c; /* DR */
}

uint32_t board_cycles(void)
{
    return DWT_CYCCNT;
}
