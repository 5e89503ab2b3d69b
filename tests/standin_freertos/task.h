/* task.h - tasks of the stand-in scheduler: the ready task of the highest priority runs until it waits. */
#ifndef STANDIN_TASK_H
#define STANDIN_TASK_H

#include "FreeRTOS.h"

TaskHandle_t xTaskCreateStatic(void (*function)(void *), const char *name, uint32_t depth, void *argument,
                               UBaseType_t priority, StackType_t *stack, StaticTask_t *memory);
TickType_t xTaskGetTickCount(void);
void vTaskDelay(TickType_t ticks);
void vTaskStartScheduler(void);
UBaseType_t uxTaskGetStackHighWaterMark(TaskHandle_t task);

/** For tests: run until every task waits for a queue. */
void standin_run(void);

#endif
