/* STM32F4: hot code runs from SRAM1, seen at address 0 through the I-Code bus (RM0386, SYSCFG_MEMRMP). Over the system bus
 * the Cortex-M4 could fetch only every other cycle (ARM DDI 0439). */
#include <stdint.h>

void firmware_map_hot(void);

void firmware_map_hot(void) {
    *(volatile uint32_t *)0x40023844u |= 1u << 14; /* RCC_APB2ENR: SYSCFG's clock */
    (void)*(volatile uint32_t *)0x40023844u;       /* it is on two cycles later */
    *(volatile uint32_t *)0x40013800u = 3;         /* SYSCFG_MEMRMP: SRAM1 at address 0 */
    __asm volatile("dsb\n\tisb" ::: "memory");
}
