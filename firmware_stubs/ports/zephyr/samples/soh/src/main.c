/*
 * main.c - state of health of a made-up cell. In your firmware a driver's readings stand where the demo's
 * are.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <string.h>
#include <zephyr/kernel.h>
#include <zephyr/sys/printk.h>

#include "edgebat_demo.h"
#include "edgebat_zephyr.h"

#define DEMO_CYCLES (EDGEBAT_PORT_CONTEXT + 3U)

static edgebat_config_t config;
static edgebat_demo_t cell;

#if !defined(CONFIG_EDGEBAT_SETTINGS)
static uint8_t kept[EDGEBAT_PORT_SAVED_BYTES]; /* yours: FRAM or EEPROM; this one forgets */
static uint32_t kept_bytes;

uint32_t edgebat_zephyr_load(void *state, uint32_t bytes) {
    memcpy(state, kept, MIN(bytes, kept_bytes));
    return kept_bytes;
}

int edgebat_zephyr_save(const void *state, uint32_t bytes) {
    memcpy(kept, state, bytes);
    kept_bytes = bytes;
    return 0;
}
#endif

static void print_result(void) {
    edgebat_result_t r;
    (void)edgebat_zephyr_result(&r);
    printk("cycle %u soh_cpct %u model_cpct %u rul_cycles %u status %d source %d age_s %u\n", r.cycle,
           r.soh_cpct, r.model_cpct, r.rul_cycles, r.status, r.source, r.age_s);
}

static void print_stack(const struct k_thread *thread, void *unused) {
    size_t free = 0;
    const char *const name = k_thread_name_get((k_tid_t)thread);
    ARG_UNUSED(unused);
    if (k_thread_stack_space_get(thread, &free) == 0) {
        printk("thread %s: %zu of %zu bytes of stack unused\n", (name != NULL) ? name : "?", free,
               thread->stack_info.size);
    }
}

int main(void) {
    (void)edgebat_port_config(&config);
    config.slew_cpct_h = 0U; /* a demonstration lasts no hundred hours */
    const int code = edgebat_zephyr_start(&config);
    printk("start %d\n", code);
    print_result();
    edgebat_demo_begin(&cell, &EDGEBAT_PORT_MODEL, config.nominal_mAh);
    while (cell.cycle < DEMO_CYCLES) {
        const uint32_t before = cell.cycle;
        edgebat_sample_t sample;
        edgebat_demo_next(&cell, &sample); /* yours: millivolts, milliamperes, 0.1 degC, milliseconds */
        (void)edgebat_zephyr_push(&sample);
        k_sleep(K_MSEC(1));
        if (cell.cycle != before) {
            print_result();
        }
    }
    k_thread_foreach(print_stack, NULL);
    printk("done\n");
    return 0;
}
