/* What firmware without a C library may use of <string.h>; defined in memory.c. */
#ifndef OSTINATO_STRING_H
#define OSTINATO_STRING_H

#include <stddef.h>

void *memcpy(void *restrict destination, const void *restrict source, size_t size);
void *memmove(void *destination, const void *source, size_t size);
void *memset(void *destination, int value, size_t size);

#endif
