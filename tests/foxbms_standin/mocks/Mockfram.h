#include "fram.h"

typedef FRAM_RETURN_TYPE_e (*FRAM_Access_t)(FRAM_BLOCK_ID_e blockId, int calls);
void FRAM_ReadData_Stub(FRAM_Access_t callback);
void FRAM_WriteData_Stub(FRAM_Access_t callback);
