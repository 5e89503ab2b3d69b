/*
 * main.c - state of health of a made-up cell. In your firmware a battery monitor's readings stand where the
 * demo's are.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>

#include "freertos/FreeRTOS.h"
#include "freertos/task.h"
#include "nvs_flash.h"

#include "edgebat_demo.h"
#include "edgebat_nvs.h"
#include "edgebat_task.h"

#define DEMO_CYCLES (EDGEBAT_PORT_CONTEXT + 3U)

static edgebat_config_t config;
static edgebat_demo_t cell;
static uint8_t saved[EDGEBAT_PORT_SAVED_BYTES];

void app_main(void) {
    const esp_err_t flash = nvs_flash_init();
    if ((flash == ESP_ERR_NVS_NO_FREE_PAGES) || (flash == ESP_ERR_NVS_NEW_VERSION_FOUND)) {
        (void)nvs_flash_erase(); /* all that anybody keeps there; no other error is a reason */
        (void)nvs_flash_init();
    }
    (void)edgebat_port_config(&config);
    config.slew_cpct_h = 0U; /* a demonstration lasts no hundred hours */
    const uint32_t bytes = edgebat_nvs_load(saved, sizeof(saved));
    const int code = edgebat_task_start(&config, (bytes != 0U) ? saved : NULL, bytes, &edgebat_nvs_save);
    printf("start %d\n", code);
    edgebat_demo_begin(&cell, &EDGEBAT_PORT_MODEL, config.nominal_mAh);
    while (cell.cycle < DEMO_CYCLES) {
        const uint32_t before = cell.cycle;
        edgebat_sample_t sample;
        edgebat_demo_next(&cell, &sample); /* yours: millivolts, milliamperes, 0.1 degC, milliseconds */
        while (edgebat_task_push(&sample) != EDGEBAT_OK) {
            sample.dt_ms = 0U; /* a sample that found no room leaves its time to the next one */
            vTaskDelay(1);
        }
        vTaskDelay(1); /* your tick; the cell above lives faster than that */
        if (cell.cycle != before) {
            edgebat_result_t r;
            (void)edgebat_task_result(&r);
            printf("cycle %" PRIu32 " soh_cpct %u rul_cycles %u status %d source %d\n", r.cycle, r.soh_cpct,
                   r.rul_cycles, (int)r.status, (int)r.source);
        }
    }
    printf("unused stack %u of %u\n", (unsigned)uxTaskGetStackHighWaterMark(edgebat_task_handle()),
           (unsigned)EDGEBAT_TASK_STACK);
}
