/* FreeRTOS.h - the few types of FreeRTOS that edgebat_task uses, for tests on a computer. Not FreeRTOS. */
#ifndef STANDIN_FREERTOS_H
#define STANDIN_FREERTOS_H

#include <stdint.h>

typedef long BaseType_t;
typedef unsigned long UBaseType_t;
typedef uint32_t TickType_t;
typedef struct standin_task *TaskHandle_t;
typedef struct standin_queue *QueueHandle_t;
typedef struct standin_queue *SemaphoreHandle_t;

#if defined(ESP_PLATFORM)
typedef uint8_t StackType_t;
#else
typedef uint32_t StackType_t;
#endif
#define configSTACK_DEPTH_TYPE uint32_t
#define configMINIMAL_STACK_SIZE 64

typedef struct {
    void *unused[8];
} StaticTask_t;

typedef struct standin_queue {
    uint8_t *items;
    UBaseType_t length;
    UBaseType_t size;
    UBaseType_t first;
    UBaseType_t count;
} StaticQueue_t;
typedef StaticQueue_t StaticSemaphore_t;

#define pdFALSE ((BaseType_t)0)
#define pdTRUE ((BaseType_t)1)
#define portTICK_PERIOD_MS ((TickType_t)1)
#define portMAX_DELAY ((TickType_t)0xFFFFFFFFUL)
#define tskIDLE_PRIORITY ((UBaseType_t)0)

#endif
