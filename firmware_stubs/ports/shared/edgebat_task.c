/*
 * edgebat_task.c - a queue in front of the estimator, a mutex behind it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "edgebat_task.h"

#if defined(ESP_PLATFORM)
#include "freertos/queue.h"
#include "freertos/semphr.h"
#include "freertos/task.h"
#else
#include "queue.h"
#include "semphr.h"
#include "task.h"
#endif

#include <stddef.h>
#include <stdint.h>

static edgebat_t battery;
static edgebat_port_work_t work;
static edgebat_task_save_t save_state;
static const edgebat_config_t *used;
static uint32_t kept_revision;
static uint32_t until_retry; /* samples and slices to wait after a write that failed */
static uint8_t state[EDGEBAT_PORT_SAVED_BYTES];

static StaticTask_t task_memory;
static StackType_t stack[EDGEBAT_TASK_STACK];
static TaskHandle_t task;

static StaticQueue_t queue_memory;
static uint8_t queue_samples[EDGEBAT_TASK_QUEUE * sizeof(edgebat_sample_t)];
static QueueHandle_t queue;
static uint32_t lost_ms; /* time of samples that found the queue full */

static StaticSemaphore_t mutex_memory;
static SemaphoreHandle_t mutex;
static edgebat_result_t published;
static TickType_t last_tick; /* of the last sample */
static int silent;           /* since then somebody has been told that samples have stopped */

/* A memory that fails is not asked again at once. */
#define RETRY 64U

/** Lost samples become a hole: the time goes on with the next sample. */
static void with_lost_time(const edgebat_sample_t *sample, edgebat_sample_t *sent) {
    *sent = *sample;
    sent->dt_ms = (sample->dt_ms > (UINT32_MAX - lost_ms)) ? UINT32_MAX : (sample->dt_ms + lost_ms);
}

int edgebat_task_push(const edgebat_sample_t *sample) {
    int code = EDGEBAT_ERR_NULL;
    if ((sample != NULL) && (queue != NULL)) {
        edgebat_sample_t sent;
        with_lost_time(sample, &sent);
        const BaseType_t taken = xQueueSendToBack(queue, &sent, 0U);
        lost_ms = (taken == pdTRUE) ? 0U : sent.dt_ms;
        code = (taken == pdTRUE) ? EDGEBAT_OK : EDGEBAT_IGNORED;
    }
    return code;
}

int edgebat_task_push_from_isr(const edgebat_sample_t *sample, BaseType_t *woken) {
    int code = EDGEBAT_ERR_NULL;
    if ((sample != NULL) && (queue != NULL)) {
        edgebat_sample_t sent;
        with_lost_time(sample, &sent);
        const BaseType_t taken = xQueueSendToBackFromISR(queue, &sent, woken);
        lost_ms = (taken == pdTRUE) ? 0U : sent.dt_ms;
        code = (taken == pdTRUE) ? EDGEBAT_OK : EDGEBAT_IGNORED;
    }
    return code;
}

int edgebat_task_result(edgebat_result_t *result) {
    int code = EDGEBAT_ERR_NULL;
    if ((result != NULL) && (mutex != NULL)) {
        (void)xSemaphoreTake(mutex, portMAX_DELAY);
        *result = published;
        /* The task waits for samples: when they stop, nobody else can tell. Ticks wrap around, so what was said stays. */
        const TickType_t ticks = xTaskGetTickCount() - last_tick;
        silent = (((uint64_t)ticks * portTICK_PERIOD_MS) >= used->invalid_ms) ? 1 : silent;
        if ((silent != 0) && (result->status != (uint8_t)EDGEBAT_STATUS_MODEL_CORRUPT)) {
            result->status = (uint8_t)EDGEBAT_STATUS_INPUT_INVALID;
        }
        (void)xSemaphoreGive(mutex);
        code = EDGEBAT_OK;
    }
    return code;
}

void *edgebat_task_handle(void) {
    return (void *)task;
}

/** Publishes, what a sample has changed or a slice; returns the revision. */
static uint32_t publish(BaseType_t sampled) {
    static edgebat_result_t now; /* used by the task alone; 60 bytes less of its stack */
    (void)edgebat_result(&battery, &now);
    (void)xSemaphoreTake(mutex, portMAX_DELAY);
    published = now;
    if (sampled == pdTRUE) {
        last_tick = xTaskGetTickCount();
        silent = 0;
    }
    (void)xSemaphoreGive(mutex);
    return now.revision;
}

/** Keeps a new revision; one that could not be written is tried again until it could. */
static void keep(uint32_t revision) {
    if ((save_state != NULL) && (revision != kept_revision)) {
        if (until_retry != 0U) {
            until_retry--;
        } else if ((edgebat_state_get(&battery, state, sizeof(state)) == EDGEBAT_OK) &&
                   (save_state(state, (uint32_t)sizeof(state)) == 0)) {
            kept_revision = revision;
        } else {
            until_retry = RETRY;
        }
    }
}

static void run(void *unused) {
    static edgebat_sample_t sample;
    int busy = 0;
    (void)unused;
    (void)edgebat_selftest(&battery); /* on failure the status says so */
    for (;;) {
        const BaseType_t sampled = xQueueReceive(queue, &sample, (busy != 0) ? 0U : portMAX_DELAY);
        if (sampled == pdTRUE) {
            (void)edgebat_push(&battery, &sample);
        }
        busy = (edgebat_step(&battery) == EDGEBAT_BUSY) ? 1 : 0;
        keep(publish(sampled));
    }
}

int edgebat_task_start(const edgebat_config_t *config, const void *saved, uint32_t saved_bytes,
                       edgebat_task_save_t save) {
    const int code = edgebat_init(&battery, &EDGEBAT_PORT_MODEL, config, &work, saved, saved_bytes);
    if (edgebat_result(&battery, &published) == EDGEBAT_OK) {
        save_state = save;
        used = config;
        kept_revision = published.revision;
        until_retry = 0U;
        last_tick = xTaskGetTickCount();
        silent = 0;
        queue =
            xQueueCreateStatic(EDGEBAT_TASK_QUEUE, sizeof(edgebat_sample_t), queue_samples, &queue_memory);
        mutex = xSemaphoreCreateMutexStatic(&mutex_memory);
        task = xTaskCreateStatic(&run, "edgebat", EDGEBAT_TASK_STACK, NULL, EDGEBAT_TASK_PRIORITY, stack,
                                 &task_memory);
    }
    return code;
}
