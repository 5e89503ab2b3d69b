/* semphr.h - a mutex that nobody can contend for, because the stand-in's tasks give way only where they wait.
 */
#ifndef STANDIN_SEMPHR_H
#define STANDIN_SEMPHR_H

#include "FreeRTOS.h"

SemaphoreHandle_t xSemaphoreCreateMutexStatic(StaticSemaphore_t *memory);
BaseType_t xSemaphoreTake(SemaphoreHandle_t mutex, TickType_t wait);
BaseType_t xSemaphoreGive(SemaphoreHandle_t mutex);

#endif
