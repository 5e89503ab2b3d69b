/* The part of <string.h> that a compiler may assume on a bare machine; zig ships no C library for one. */
#ifndef EDGEBAT_BAREMETAL_STRING_H
#define EDGEBAT_BAREMETAL_STRING_H

#include <stddef.h>

void *memcpy(void *to, const void *from, size_t length);
void *memmove(void *to, const void *from, size_t length);
void *memset(void *to, int value, size_t length);
int memcmp(const void *left, const void *right, size_t length);

#endif
