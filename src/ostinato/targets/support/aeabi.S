/* The memory helpers of the ARM run-time ABI (IHI 0043, section 4.3.4), in terms of memory.c. memclr and memset take
 * their arguments in another order than C's memset. */
    .syntax unified
    .thumb

    .macro helper name
    .weak \name
    .type \name, %function
    .thumb_func
\name:
    .endm

    .section .text.aeabi, "ax", %progbits

    helper __aeabi_memcpy
    helper __aeabi_memcpy4
    helper __aeabi_memcpy8
    b memcpy
    .size __aeabi_memcpy, . - __aeabi_memcpy

    helper __aeabi_memmove
    helper __aeabi_memmove4
    helper __aeabi_memmove8
    b memmove
    .size __aeabi_memmove, . - __aeabi_memmove

    helper __aeabi_memset
    helper __aeabi_memset4
    helper __aeabi_memset8
    mov r3, r1
    mov r1, r2
    mov r2, r3
    b memset
    .size __aeabi_memset, . - __aeabi_memset

    helper __aeabi_memclr
    helper __aeabi_memclr4
    helper __aeabi_memclr8
    mov r2, r1
    movs r1, #0
    b memset
    .size __aeabi_memclr, . - __aeabi_memclr
