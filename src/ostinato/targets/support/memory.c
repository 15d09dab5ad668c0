/* memcpy, memmove and memset for firmware without a C library. The empty asm statements keep the compiler from
 * recognising its own idiom and calling the very function it is compiling. Weak, so that a C library wins. */
#include <stddef.h>
#include <stdint.h>

typedef uint32_t __attribute__((aligned(1), may_alias)) word_t; /* Cortex-M4 and M7 load unaligned words */

#define KEEP_LOOP __asm volatile("" ::: "memory")

void *memcpy(void *restrict destination, const void *restrict source, size_t size);
void *memmove(void *destination, const void *source, size_t size);
void *memset(void *destination, int value, size_t size);

__attribute__((weak)) void *memcpy(void *restrict destination, const void *restrict source, size_t size) {
    uint8_t *to = destination;
    const uint8_t *from = source;
    for (; size >= 16; size -= 16, to += 16, from += 16) {
        const uint32_t a = ((const word_t *)from)[0], b = ((const word_t *)from)[1];
        const uint32_t c = ((const word_t *)from)[2], d = ((const word_t *)from)[3];
        ((word_t *)to)[0] = a;
        ((word_t *)to)[1] = b;
        ((word_t *)to)[2] = c;
        ((word_t *)to)[3] = d;
        KEEP_LOOP;
    }
    for (; size >= 4; size -= 4, to += 4, from += 4) {
        *(word_t *)to = *(const word_t *)from;
        KEEP_LOOP;
    }
    for (; size; size--) {
        *to++ = *from++;
        KEEP_LOOP;
    }
    return destination;
}

__attribute__((weak)) void *memmove(void *destination, const void *source, size_t size) {
    uint8_t *to = destination;
    const uint8_t *from = source;
    if ((uintptr_t)to <= (uintptr_t)from) { /* forwards is safe */
        for (; size >= 4; size -= 4, to += 4, from += 4) {
            *(word_t *)to = *(const word_t *)from;
            KEEP_LOOP;
        }
        for (; size; size--) {
            *to++ = *from++;
            KEEP_LOOP;
        }
    } else {
        for (to += size, from += size; size >= 4; size -= 4) {
            to -= 4, from -= 4;
            *(word_t *)to = *(const word_t *)from;
            KEEP_LOOP;
        }
        for (; size; size--) {
            *--to = *--from;
            KEEP_LOOP;
        }
    }
    return destination;
}

__attribute__((weak)) void *memset(void *destination, int value, size_t size) {
    uint8_t *to = destination;
    const uint32_t word = (uint8_t)value * 0x01010101u;
    for (; size >= 16; size -= 16, to += 16) {
        ((word_t *)to)[0] = word;
        ((word_t *)to)[1] = word;
        ((word_t *)to)[2] = word;
        ((word_t *)to)[3] = word;
        KEEP_LOOP;
    }
    for (; size >= 4; size -= 4, to += 4) {
        *(word_t *)to = word;
        KEEP_LOOP;
    }
    for (; size; size--) {
        *to++ = (uint8_t)value;
        KEEP_LOOP;
    }
    return destination;
}
