#include <stdint.h>

uint32_t OS_GetTickCount(void);
