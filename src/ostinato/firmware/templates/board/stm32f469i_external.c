/* The STM32F469I-Discovery's N25Q128A (16 MiB), memory-mapped: quad I/O fast read at 90 MHz, 10 dummy cycles. The simulator
 * models these settings. */
#include "board.h"
#include "quadspi.h"

void board_map_external(void)
{
    RCC_AHB1ENR |= 1u << 5 | 1u << 1; /* GPIOF, GPIOB */
    (void)RCC_AHB1ENR;
    stm32_alternate(GPIOB, 6, 10); /* NCS */
    stm32_alternate(GPIOF, 10, 9); /* CLK */
    stm32_alternate(GPIOF, 8, 10); /* IO0 */
    stm32_alternate(GPIOF, 9, 10); /* IO1 */
    stm32_alternate(GPIOF, 7, 9);  /* IO2 */
    stm32_alternate(GPIOF, 6, 9);  /* IO3 */

    quadspi_on(24, 5); /* commands other than reads need 50 ns between them */
    quadspi_command(0x66, 1); /* reset enable, reset */
    quadspi_command(0x99, 1);
    quadspi_pause();
    quadspi_ready();
    const uint8_t volatile_configuration = quadspi_read(0x85);
    quadspi_write(0x81, 1, (uint8_t)((volatile_configuration & 0x0Fu) | 10u << 4), 0); /* dummy cycles */
    QUADSPI_DCR = 23u << 16 | 1u << 8; /* reads need 20 ns: 2 clocks */
    quadspi_map(QUADSPI_INSTRUCTION(0xEB, 1) | QUADSPI_ADDRESS(3, 3) | QUADSPI_DUMMY(10) | QUADSPI_DATA(3));
}
