/*
 * edgebat_zephyr.c - a work queue of low priority for the model, a mutex around the cells.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "edgebat_zephyr.h"

#include <stddef.h>
#include <zephyr/kernel.h>

/* A memory that fails is not asked again at once. */
#define RETRY 64U

typedef struct {
    edgebat_t battery;
    edgebat_port_work_t memory;
    uint32_t kept_revision;
    uint32_t until_retry; /* slices to wait after a write that failed */
    int64_t last_ms;      /* of the last sample */
} cell_t;

static K_MUTEX_DEFINE(lock);
static K_THREAD_STACK_DEFINE(queue_stack, CONFIG_EDGEBAT_STACK_SIZE);
static struct k_work_q queue;
static struct k_work work;

static cell_t cells[EDGEBAT_ZEPHYR_CELLS];
static edgebat_config_t used;
static uint8_t state[EDGEBAT_PORT_SAVED_BYTES];

#if EDGEBAT_ZEPHYR_CELLS > 1
static uint32_t load(uint32_t cell, void *to, uint32_t bytes) {
    return edgebat_zephyr_load_cell(cell, to, bytes);
}

static int save(uint32_t cell, const void *from, uint32_t bytes) {
    return edgebat_zephyr_save_cell(cell, from, bytes);
}
#else
static uint32_t load(uint32_t cell, void *to, uint32_t bytes) {
    (void)cell;
    return edgebat_zephyr_load(to, bytes);
}

static int save(uint32_t cell, const void *from, uint32_t bytes) {
    (void)cell;
    return edgebat_zephyr_save(from, bytes);
}
#endif

static uint32_t revision_of(const cell_t *cell) {
    static edgebat_result_t now; /* not on the stack */
    (void)edgebat_result(&cell->battery, &now);
    return now.revision;
}

/** One slice for one cell; a new revision is kept, and one that could not be written is tried again until it
 * could. Writing takes long and is done without the lock: only the work queue and edgebat_zephyr_store write
 * `state`. Returns whether the cell wants to go on. */
static int one_cell(uint32_t number) {
    cell_t *const cell = &cells[number];
    int code = EDGEBAT_ERR_NULL;
    (void)k_mutex_lock(&lock, K_FOREVER);
    const int busy = edgebat_step(&cell->battery) == EDGEBAT_BUSY;
    const uint32_t revision = revision_of(cell);
    if (revision == cell->kept_revision) {
        cell->until_retry = 0U;
    } else if (cell->until_retry != 0U) {
        cell->until_retry--;
    } else {
        code = edgebat_state_get(&cell->battery, state, sizeof(state));
    }
    (void)k_mutex_unlock(&lock);
    if (code == EDGEBAT_OK) {
        if (save(number, state, sizeof(state)) == 0) {
            cell->kept_revision = revision;
        } else {
            cell->until_retry = RETRY;
        }
    }
    return busy;
}

static void one_slice(struct k_work *item) {
    int busy = 0;
    for (uint32_t number = 0U; number < EDGEBAT_ZEPHYR_CELLS; number++) {
        busy |= one_cell(number);
    }
    if (busy != 0) {
        (void)k_work_submit_to_queue(&queue, item);
    }
}

static int start_cell(uint32_t number) {
    cell_t *const cell = &cells[number];
    const uint32_t bytes = load(number, state, sizeof(state));
    const int code = edgebat_init(&cell->battery, &EDGEBAT_PORT_MODEL, &used, &cell->memory,
                                  (bytes != 0U) ? state : NULL, bytes);
    cell->kept_revision = revision_of(cell);
    cell->until_retry = 0U;
    cell->last_ms = k_uptime_get();
    const int tested = edgebat_selftest(&cell->battery);
    return (code < EDGEBAT_OK) ? code : tested;
}

int edgebat_zephyr_start(const edgebat_config_t *config) {
    static const struct k_work_queue_config named = {.name = "edgebat"};
    static int begun = 0;
    (void)k_mutex_lock(&lock, K_FOREVER);
    used = *config;
    int code = EDGEBAT_OK;
    for (uint32_t number = EDGEBAT_ZEPHYR_CELLS; number != 0U; number--) {
        const int of_cell = start_cell(number - 1U);
        code = (of_cell != EDGEBAT_OK) ? of_cell : code;
    }
    if (begun == 0) {
        begun = 1;
        k_work_init(&work, &one_slice);
        k_work_queue_start(&queue, queue_stack, K_THREAD_STACK_SIZEOF(queue_stack), CONFIG_EDGEBAT_PRIORITY,
                           &named);
    }
    (void)k_mutex_unlock(&lock);
    return code;
}

int edgebat_zephyr_push_cell(uint32_t cell, const edgebat_sample_t *sample) {
    int code = EDGEBAT_ERR_LENGTH;
    if (cell < EDGEBAT_ZEPHYR_CELLS) {
        (void)k_mutex_lock(&lock, K_FOREVER);
        code = edgebat_push(&cells[cell].battery, sample);
        cells[cell].last_ms = k_uptime_get();
        (void)k_mutex_unlock(&lock);
    }
    if (code >= EDGEBAT_OK) {
        (void)k_work_submit_to_queue(&queue, &work);
    }
    return code;
}

int edgebat_zephyr_result_cell(uint32_t cell, edgebat_result_t *result) {
    int code = EDGEBAT_ERR_LENGTH;
    if (cell < EDGEBAT_ZEPHYR_CELLS) {
        (void)k_mutex_lock(&lock, K_FOREVER);
        code = edgebat_result(&cells[cell].battery, result);
        const int64_t silent_ms = k_uptime_get() - cells[cell].last_ms;
        (void)k_mutex_unlock(&lock);
        /* The work queue waits for samples: when they stop, nobody else can tell. */
        if ((code == EDGEBAT_OK) && (silent_ms >= (int64_t)used.invalid_ms) &&
            (result->status != (uint8_t)EDGEBAT_STATUS_MODEL_CORRUPT)) {
            result->status = (uint8_t)EDGEBAT_STATUS_INPUT_INVALID;
        }
    }
    return code;
}

int edgebat_zephyr_push(const edgebat_sample_t *sample) {
    return edgebat_zephyr_push_cell(0U, sample);
}

int edgebat_zephyr_result(edgebat_result_t *result) {
    return edgebat_zephyr_result_cell(0U, result);
}

int edgebat_zephyr_store(void) {
    static uint8_t last[EDGEBAT_PORT_SAVED_BYTES];
    int worst = EDGEBAT_OK;
    for (uint32_t number = 0U; number < EDGEBAT_ZEPHYR_CELLS; number++) {
        (void)k_mutex_lock(&lock, K_FOREVER);
        int code = edgebat_state_get(&cells[number].battery, last, sizeof(last));
        (void)k_mutex_unlock(&lock);
        if (code == EDGEBAT_OK) {
            code = save(number, last, sizeof(last));
        }
        worst = (code != EDGEBAT_OK) ? code : worst;
    }
    return worst;
}
