/* queue.h - queues of the stand-in scheduler. */
#ifndef STANDIN_QUEUE_H
#define STANDIN_QUEUE_H

#include "FreeRTOS.h"

QueueHandle_t xQueueCreateStatic(UBaseType_t length, UBaseType_t size, uint8_t *items, StaticQueue_t *memory);
BaseType_t xQueueSendToBack(QueueHandle_t queue, const void *item, TickType_t wait);
BaseType_t xQueueSendToBackFromISR(QueueHandle_t queue, const void *item, BaseType_t *woken);
BaseType_t xQueueReceive(QueueHandle_t queue, void *item, TickType_t wait);

#endif
