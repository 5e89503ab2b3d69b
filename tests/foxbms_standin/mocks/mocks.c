/* Functions of foxBMS that do what the test says; an assertion outside of a test that expects one ends here. */
#include "Mockdatabase.h"
#include "Mockfram.h"
#include "Mockos.h"
#include "fassert.h"

jmp_buf standin_assert;

static DATA_Read3DataBlocks_t read_database;
static FRAM_Access_t read_fram;
static FRAM_Access_t write_fram;
static OS_GetTickCount_t tick_count;

void DATA_Read3DataBlocks_Stub(DATA_Read3DataBlocks_t callback) {
    read_database = callback;
}

STD_RETURN_TYPE_e DATA_Read3DataBlocks(void *p0, void *p1, void *p2) {
    return read_database(p0, p1, p2, 0);
}

void FRAM_ReadData_Stub(FRAM_Access_t callback) {
    read_fram = callback;
}

FRAM_RETURN_TYPE_e FRAM_ReadData(FRAM_BLOCK_ID_e blockId) {
    return read_fram(blockId, 0);
}

void FRAM_WriteData_Stub(FRAM_Access_t callback) {
    write_fram = callback;
}

FRAM_RETURN_TYPE_e FRAM_WriteData(FRAM_BLOCK_ID_e blockId) {
    return write_fram(blockId, 0);
}

void OS_GetTickCount_Stub(OS_GetTickCount_t callback) {
    tick_count = callback;
}

uint32_t OS_GetTickCount(void) {
    return tick_count(0);
}
