#include "database.h"

void SE_InitializeStateOfHealth(DATA_BLOCK_SOH_s *pSohValues, uint8_t stringNumber);
void SE_CalculateStateOfHealth(DATA_BLOCK_SOH_s *pSohValues);
