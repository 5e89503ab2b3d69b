#include "database.h"

typedef STD_RETURN_TYPE_e (*DATA_Read3DataBlocks_t)(void *p0, void *p1, void *p2, int calls);
void DATA_Read3DataBlocks_Stub(DATA_Read3DataBlocks_t callback);
