/*
 * main.c - the estimator's task beside a task that measures.
 *
 * Samples come from a made-up cell. In your firmware `measure` reads the battery monitor instead; everything
 * else stays. Board-specific is only the second file, a simulated Cortex-M4.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stddef.h>

#include "FreeRTOS.h"
#include "task.h"

#include "edgebat_demo.h"
#include "edgebat_task.h"

#define DEMO_CYCLES (EDGEBAT_PORT_CONTEXT + 3U)

void board_print(const char *text);
void board_exit(int code);

static edgebat_config_t config;
static edgebat_demo_t cell;
static StaticTask_t measure_memory;
static StackType_t measure_stack[256];
static uint32_t states;

static void print_number(const char *label, uint32_t value) {
    char digits[11];
    char *at = &digits[10];
    *at = '\0';
    do {
        at--;
        *at = (char)('0' + (value % 10U));
        value /= 10U;
    } while (value != 0U);
    board_print(label);
    board_print(at);
}

static void print_result(void) {
    edgebat_result_t result;
    (void)edgebat_task_result(&result);
    print_number("cycle ", result.cycle);
    print_number(" soh_cpct ", result.soh_cpct);
    print_number(" model_cpct ", result.model_cpct);
    print_number(" rul_cycles ", result.rul_cycles);
    print_number(" status ", (uint32_t)result.status);
    print_number(" source ", (uint32_t)result.source);
    print_number(" age_s ", result.age_s);
    board_print("\n");
}

/** Here: write to FRAM, flash or EEPROM, over the older one of two slots. */
static int save(const void *state, uint32_t bytes) {
    (void)state;
    (void)bytes;
    states++;
    return 0;
}

static void measure(void *unused) {
    (void)unused;
    edgebat_demo_begin(&cell, &EDGEBAT_PORT_MODEL, EDGEBAT_PORT_NOMINAL_MAH);
    for (uint32_t samples = 0U; cell.cycle < DEMO_CYCLES; samples++) {
        const uint32_t before = cell.cycle;
        edgebat_sample_t sample;
        edgebat_demo_next(&cell, &sample); /* yours: millivolts, milliamperes, 0.1 degC, milliseconds */
        while (edgebat_task_push(&sample) != EDGEBAT_OK) {
            sample.dt_ms = 0U; /* a sample that found no room leaves its time to the next one */
            vTaskDelay(1);
        }
        vTaskDelay(1); /* your tick; the cell above lives faster than that */
        if (cell.cycle != before) {
            print_result();
        }
    }
    print_number("states ", states);
    print_number(" unused_stack_words ", (uint32_t)uxTaskGetStackHighWaterMark(edgebat_task_handle()));
    print_number(" of ", EDGEBAT_TASK_STACK);
    board_print("\n");
    board_exit(0);
}

/* Memory of the kernel's own task: with static allocation the application gives it. */
void vApplicationGetIdleTaskMemory(StaticTask_t **task, StackType_t **stack, configSTACK_DEPTH_TYPE *words) {
    static StaticTask_t idle;
    static StackType_t idle_stack[configMINIMAL_STACK_SIZE];
    *task = &idle;
    *stack = idle_stack;
    *words = configMINIMAL_STACK_SIZE;
}

void vApplicationStackOverflowHook(TaskHandle_t task, char *name) {
    (void)task;
    board_print(name);
    board_print(": stack overflow\n");
    board_exit(1);
}

int main(void) {
    (void)edgebat_config_default(&config, EDGEBAT_PORT_NOMINAL_MAH);
    config.slew_cpct_h = 0U; /* a demonstration lasts no hundred hours */
    if (edgebat_task_start(&config, NULL, 0U, &save) != EDGEBAT_OK) {
        board_print("edgebat_task_start failed\n");
        board_exit(1);
    }
    (void)xTaskCreateStatic(&measure, "measure", 256, NULL, tskIDLE_PRIORITY + 2U, measure_stack,
                            &measure_memory);
    vTaskStartScheduler();
    return 1;
}
