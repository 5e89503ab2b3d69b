/*
 * edgebat_task.h - the estimator of one battery as a FreeRTOS task of low priority.
 *
 *     static edgebat_config_t config;
 *     edgebat_config_default(&config, 3500);
 *     edgebat_task_start(&config, saved, saved_bytes, save);     before or after the scheduler starts
 *
 *     edgebat_task_push(&sample);        every tick, in the task that measures, or ..._from_isr
 *     edgebat_task_result(&result);      in any task
 *
 * Samples go through a queue and are never waited for. The task takes a sample whenever there is one, and
 * does one slice of the model between them. Everything is static: no heap is needed.
 *
 * FreeRTOSConfig.h: configSUPPORT_STATIC_ALLOCATION 1, configUSE_MUTEXES 1.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EDGEBAT_TASK_H
#define EDGEBAT_TASK_H

#if defined(ESP_PLATFORM)
#include "freertos/FreeRTOS.h"
#else
#include "FreeRTOS.h"
#endif

#include "edgebat/edgebat.h"
#include "edgebat_port.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Stack of the task in StackType_t. The estimator needs 256 bytes or less; the rest is for the kernel's
 * calls, the saved registers and your `save`. The README says what was measured. */
#if !defined(EDGEBAT_TASK_STACK)
#if defined(ESP_PLATFORM)
#define EDGEBAT_TASK_STACK 3072U /* ESP-IDF counts bytes; writing to NVS takes most of it */
#else
#define EDGEBAT_TASK_STACK 192U
#endif
#endif

#if !defined(EDGEBAT_TASK_PRIORITY)
#define EDGEBAT_TASK_PRIORITY (tskIDLE_PRIORITY + 1U)
#endif

/** Samples that may wait. Those that find the queue full are lost; the estimator sees a hole. */
#if !defined(EDGEBAT_TASK_QUEUE)
#define EDGEBAT_TASK_QUEUE 8U
#endif

/** Keep a state; 0 when it is kept, anything else and the task tries again later. Called by the task whenever
 * result.revision has moved, some four times per cycle; it may block. Write the older one of two slots: see
 * edgebat_state_newest. */
typedef int (*edgebat_task_save_t)(const void *state, uint32_t bytes);

/**
 * Begin: as edgebat_init, whose codes it returns. With a saved state that was refused the task runs all the
 * same. Call it once. config must stay. save: NULL for none.
 */
int edgebat_task_start(const edgebat_config_t *config, const void *saved, uint32_t saved_bytes,
                       edgebat_task_save_t save);

/** One sample; always from the same task. Returns EDGEBAT_OK, or EDGEBAT_IGNORED when the queue was full. */
int edgebat_task_push(const edgebat_sample_t *sample);

/** The same in an interrupt. Use one of both. woken: for portYIELD_FROM_ISR. */
int edgebat_task_push_from_isr(const edgebat_sample_t *sample, BaseType_t *woken);

/** What is known now; waits for the length of a copy. Without a sample for invalid_ms the status is
 * INPUT_INVALID. EDGEBAT_ERR_NULL before edgebat_task_start. */
int edgebat_task_result(edgebat_result_t *result);

/** Handle of the task, for uxTaskGetStackHighWaterMark and the like; NULL before edgebat_task_start. */
void *edgebat_task_handle(void);

#ifdef __cplusplus
}
#endif

#endif
