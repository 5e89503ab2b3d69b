/*
 * edgebat_zephyr.c - a work queue of low priority for the model, a mutex around the battery.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "edgebat_zephyr.h"

#include <stddef.h>
#include <zephyr/kernel.h>

static K_MUTEX_DEFINE(lock);
static K_THREAD_STACK_DEFINE(queue_stack, CONFIG_EDGEBAT_STACK_SIZE);
static struct k_work_q queue;
static struct k_work work;

static edgebat_t battery;
static edgebat_port_work_t memory;
static edgebat_config_t used;
static uint8_t state[EDGEBAT_PORT_SAVED_BYTES];
static uint32_t kept_revision;

/** With the lock: is there anything new since the last time? */
static int worth_keeping(void) {
    static edgebat_result_t now; /* not on the stack */
    (void)edgebat_result(&battery, &now);
    const int worth = (now.revision != kept_revision);
    kept_revision = now.revision;
    return worth;
}

/** Without the lock: writing takes long. Only the work queue and edgebat_zephyr_store write `state`. */
static void one_slice(struct k_work *item) {
    int code = EDGEBAT_ERR_NULL;
    (void)k_mutex_lock(&lock, K_FOREVER);
    const int busy = edgebat_step(&battery) == EDGEBAT_BUSY;
    if (worth_keeping() != 0) {
        code = edgebat_state_get(&battery, state, sizeof(state));
    }
    (void)k_mutex_unlock(&lock);
    if (code == EDGEBAT_OK) {
        (void)edgebat_zephyr_save(state, sizeof(state));
    }
    if (busy) {
        (void)k_work_submit_to_queue(&queue, item);
    }
}

int edgebat_zephyr_start(const edgebat_config_t *config) {
    static const struct k_work_queue_config named = {.name = "edgebat"};
    static int begun = 0;
    (void)k_mutex_lock(&lock, K_FOREVER);
    const uint32_t bytes = edgebat_zephyr_load(state, sizeof(state));
    used = *config;
    int code =
        edgebat_init(&battery, &EDGEBAT_PORT_MODEL, &used, &memory, (bytes != 0U) ? state : NULL, bytes);
    (void)worth_keeping();
    const int tested = edgebat_selftest(&battery);
    if (begun == 0) {
        begun = 1;
        k_work_init(&work, &one_slice);
        k_work_queue_start(&queue, queue_stack, K_THREAD_STACK_SIZEOF(queue_stack), CONFIG_EDGEBAT_PRIORITY,
                           &named);
    }
    (void)k_mutex_unlock(&lock);
    return (code != EDGEBAT_OK) ? code : tested;
}

int edgebat_zephyr_push(const edgebat_sample_t *sample) {
    (void)k_mutex_lock(&lock, K_FOREVER);
    const int code = edgebat_push(&battery, sample);
    (void)k_mutex_unlock(&lock);
    if (code >= EDGEBAT_OK) {
        (void)k_work_submit_to_queue(&queue, &work);
    }
    return code;
}

int edgebat_zephyr_result(edgebat_result_t *result) {
    (void)k_mutex_lock(&lock, K_FOREVER);
    const int code = edgebat_result(&battery, result);
    (void)k_mutex_unlock(&lock);
    return code;
}

int edgebat_zephyr_store(void) {
    static uint8_t last[EDGEBAT_PORT_SAVED_BYTES];
    (void)k_mutex_lock(&lock, K_FOREVER);
    int code = edgebat_state_get(&battery, last, sizeof(last));
    (void)k_mutex_unlock(&lock);
    if (code == EDGEBAT_OK) {
        code = edgebat_zephyr_save(last, sizeof(last));
    }
    return code;
}
