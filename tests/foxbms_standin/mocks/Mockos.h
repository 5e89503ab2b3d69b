#include "os.h"

typedef uint32_t (*OS_GetTickCount_t)(int calls);
void OS_GetTickCount_Stub(OS_GetTickCount_t callback);
