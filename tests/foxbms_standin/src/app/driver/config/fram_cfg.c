#include "fram_cfg.h"

static uint32_t fram_first;

/**
 * What lies where.
 */
FRAM_BASE_HEADER_s fram_databaseHeader[] = {
    {(void *)(&fram_first), sizeof(fram_first), 0},
};

/*========== Static Function Prototypes ====*/
