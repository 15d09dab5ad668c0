/* Start-up code of a Cortex-M: vector table, initialised data, FPU, main. Nothing here is specific to a vendor. */
#include <stdint.h>

extern uint32_t __stack_top, __data_start, __data_end, __data_load, __bss_start, __bss_end;
extern uint32_t __hot_start, __hot_end, __hot_load;

int main(void);
void Reset_Handler(void);
void Default_Handler(void);
void firmware_exit(int code);
void firmware_map_hot(void);

typedef void (*handler_t)(void);

/* The vectors of ARMv7-M's own exceptions; a project with interrupts brings its vendor's table instead. */
__attribute__((section(".vectors"), used)) static const struct {
    const void *stack;
    handler_t handlers[15];
} vectors = {
    &__stack_top,
    {Reset_Handler, Default_Handler, Default_Handler, Default_Handler, Default_Handler, Default_Handler, 0, 0, 0,
     0, Default_Handler, Default_Handler, 0, Default_Handler, Default_Handler},
};

void Default_Handler(void) {
    for (;;) {
    }
}

/* Where the firmware ends. The simulator stops at this address; a board stays here. Its own section and no inlining, so
 * that the address exists. */
__attribute__((section(".text.firmware_exit"), noinline, used)) void firmware_exit(int code) {
    (void)code;
    for (;;) {
        __asm volatile("nop");
    }
}

/* Makes the memory of hot code writable and executable, on parts where it is not so after reset. */
__attribute__((weak)) void firmware_map_hot(void) {}

__attribute__((used)) void Reset_Handler(void) {
    /* CPACR (ARMv7-M, B3.2.20): full access to CP10 and CP11, the floating point unit. */
    *(volatile uint32_t *)0xE000ED88u |= 0xFu << 20;
    __asm volatile("dsb\n\tisb" ::: "memory");

    const uint32_t *load = &__data_load;
    for (uint32_t *p = &__data_start; p < &__data_end; p++) {
        *p = *load++;
        __asm volatile("" ::: "memory"); /* keep the loop: memcpy may not be called before its data exist */
    }
    firmware_map_hot();
    load = &__hot_load;
    for (uint32_t *p = &__hot_start; p < &__hot_end; p++) {
        *p = *load++;
        __asm volatile("" ::: "memory");
    }
    __asm volatile("dsb\n\tisb" ::: "memory");
    for (uint32_t *p = &__bss_start; p < &__bss_end; p++) {
        *p = 0;
        __asm volatile("" ::: "memory");
    }
    firmware_exit(main());
}
