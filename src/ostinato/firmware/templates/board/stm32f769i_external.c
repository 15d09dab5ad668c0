/* The STM32F769I-Discovery's MX25L51245G (64 MiB), memory-mapped: everything on four lines at 108 MHz, 10 dummy cycles. The
 * simulator models these settings. */
#include "board.h"
#include "quadspi.h"

#define GPIOC 0x40020800u
#define GPIOE 0x40021000u
#define MPU_CTRL REG(0xE000ED94u)
#define MPU_RNR REG(0xE000ED98u)
#define MPU_RBAR REG(0xE000ED9Cu)
#define MPU_RASR REG(0xE000EDA0u)

/* The Cortex-M7 reads ahead of itself wherever it may, and QUADSPI does not answer beyond the flash's end: nothing may be
 * read there. The flash itself: read only, never executed, cached with write-through. */
static void protect(void)
{
    MPU_CTRL = 0;
    MPU_RNR = 0;
    MPU_RBAR = 0x90000000u;
    MPU_RASR = 1u << 28 | 27u << 1 | 1u; /* XN, no access; 256 MiB */
    MPU_RNR = 1;
    MPU_RBAR = 0x90000000u;
    MPU_RASR = 1u << 28 | 6u << 24 | 1u << 17 | 25u << 1 | 1u; /* XN, read only, C; 64 MiB */
    MPU_CTRL = 1u << 2 | 1u;                                   /* the default map elsewhere */
    __asm volatile("dsb\n\tisb" ::: "memory");
}

void board_map_external(void)
{
    RCC_AHB1ENR |= 1u << 4 | 1u << 3 | 1u << 2 | 1u << 1; /* GPIOE, D, C, B */
    (void)RCC_AHB1ENR;
    stm32_alternate(GPIOB, 6, 10); /* NCS */
    stm32_alternate(GPIOB, 2, 9);  /* CLK */
    stm32_alternate(GPIOC, 9, 9);  /* IO0 */
    stm32_alternate(GPIOC, 10, 9); /* IO1 */
    stm32_alternate(GPIOE, 2, 9);  /* IO2 */
    stm32_alternate(GPIOD, 13, 9); /* IO3 */

    quadspi_on(26, 8);
    quadspi_command(0x66, 3); /* reset enable, reset: should it still expect four lines, */
    quadspi_command(0x99, 3);
    quadspi_pause();
    quadspi_command(0x66, 1); /* or one */
    quadspi_command(0x99, 1);
    quadspi_pause();
    quadspi_ready();
    const uint8_t status = quadspi_read(0x05), configuration = quadspi_read(0x15);
    quadspi_write(0x01, 2, status | 0x40u, configuration | 0xC0u); /* quad enable (kept without power), 10 dummy cycles */
    quadspi_ready();
    quadspi_command(0x35, 1); /* four lines from here on */
    QUADSPI_DCR = 25u << 16;  /* 1 clock between reads */
    protect();
    quadspi_map(QUADSPI_INSTRUCTION(0xEC, 3) | QUADSPI_ADDRESS(4, 3) | QUADSPI_DUMMY(10) | QUADSPI_DATA(3));
}
