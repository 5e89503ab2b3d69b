#ifndef STANDIN_DATABASE_H
#define STANDIN_DATABASE_H

#include "battery_system_cfg.h"
#include "fstd_types.h"

#include <math.h>
#include <stdbool.h>
#include <stdint.h>

typedef enum {
    DATA_BLOCK_ID_CELL_VOLTAGE,
    DATA_BLOCK_ID_CELL_TEMPERATURE,
    DATA_BLOCK_ID_PACK_VALUES,
    DATA_BLOCK_ID_SOH,
} DATA_BLOCK_ID_e;

typedef struct {
    DATA_BLOCK_ID_e uniqueId;
    uint32_t timestamp;
} DATA_BLOCK_HEADER_s;

typedef struct {
    DATA_BLOCK_HEADER_s header;
    int16_t cellVoltage_mV[BS_NR_OF_STRINGS][BS_NR_OF_MODULES_PER_STRING][BS_NR_OF_CELL_BLOCKS_PER_MODULE];
    bool invalidCellVoltage[BS_NR_OF_STRINGS][BS_NR_OF_MODULES_PER_STRING][BS_NR_OF_CELL_BLOCKS_PER_MODULE];
} DATA_BLOCK_CELL_VOLTAGE_s;

typedef struct {
    DATA_BLOCK_HEADER_s header;
    int16_t cellTemperature_ddegC[BS_NR_OF_STRINGS][BS_NR_OF_MODULES_PER_STRING]
                                 [BS_NR_OF_TEMP_SENSORS_PER_MODULE];
    bool invalidCellTemperature[BS_NR_OF_STRINGS][BS_NR_OF_MODULES_PER_STRING]
                               [BS_NR_OF_TEMP_SENSORS_PER_MODULE];
} DATA_BLOCK_CELL_TEMPERATURE_s;

typedef struct {
    DATA_BLOCK_HEADER_s header;
    int32_t stringCurrent_mA[BS_NR_OF_STRINGS];
    uint8_t invalidStringCurrent[BS_NR_OF_STRINGS];
} DATA_BLOCK_PACK_VALUES_s;

typedef struct {
    DATA_BLOCK_HEADER_s header;
    float_t averageSoh_perc[BS_NR_OF_STRINGS];
    float_t minimumSoh_perc[BS_NR_OF_STRINGS];
    float_t maximumSoh_perc[BS_NR_OF_STRINGS];
} DATA_BLOCK_SOH_s;

STD_RETURN_TYPE_e DATA_Read3DataBlocks(void *p0, void *p1, void *p2);
#define DATA_READ_DATA(p0, p1, p2) ((void)DATA_Read3DataBlocks((p0), (p1), (p2)))

#endif
