#ifndef STANDIN_FRAM_CFG_H
#define STANDIN_FRAM_CFG_H

/*========== Includes ====*/
#include <stdint.h>

typedef enum {
    FRAM_ACCESS_OK,
    FRAM_ACCESS_SPI_BUSY,
    FRAM_ACCESS_CRC_BUSY,
    FRAM_ACCESS_CRC_ERROR,
} FRAM_RETURN_TYPE_e;

typedef struct {
    void *blockptr;
    uint32_t datalength;
    uint32_t address;
} FRAM_BASE_HEADER_s;

typedef enum {
    FRAM_BLOCK_ID_FIRST,
    FRAM_BLOCK_MAX,
} FRAM_BLOCK_ID_e;

/*========== Extern Constant and Variable Declarations ====*/
extern FRAM_BASE_HEADER_s fram_databaseHeader[FRAM_BLOCK_MAX];

#endif
