/*
 * virtual_bms.c - the firmware of a simulated board: one cell, two places in FRAM, a CAN controller.
 *
 * The simulator plays the world: it fills `vbms_samples`, calls vbms_run, and takes the frames out of
 * `vbms_frames`. A power cut is a simulator that stops anywhere, forgets the RAM and calls vbms_power_on
 * again; only `vbms_fram` survives. `edgebat replay` and the tests run this file, on a simulated Cortex-M4
 * and on the computer.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "virtual_bms.h"

#include "edgebat/edgebat_can.h"
#include "vbms_model.h" /* generated: VBMS_MODEL, vbms_work_t, VBMS_SAVED_BYTES */

#if defined(VBMS_BOARD)
#define FRAM __attribute__((section(".fram")))
#else
#define FRAM
#endif

edgebat_sample_t vbms_samples[VBMS_SAMPLES];
vbms_frame_t vbms_frames[VBMS_FRAMES];
vbms_control_t vbms_control;
volatile uint8_t vbms_fram[2][VBMS_FRAM_BYTES] FRAM;

static edgebat_t battery;
static vbms_work_t work;
static edgebat_config_t config;
static uint8_t saved[VBMS_SAVED_BYTES];
static uint32_t next_place;
static uint32_t sent;
static uint32_t counter;
static uint32_t since_frame_ms;
static uint32_t saved_revision;

EDGEBAT_STATIC_ASSERT(VBMS_SAVED_BYTES <= VBMS_FRAM_BYTES, state_fits_into_fram);

static void read_place(uint32_t place, uint8_t *buffer) {
    for (uint32_t i = 0U; i < VBMS_SAVED_BYTES; i++) {
        buffer[i] = vbms_fram[place][i];
    }
}

static void send(uint32_t frame, uint32_t number, const edgebat_result_t *result) {
    if (sent < VBMS_FRAMES) {
        vbms_frame_t *const out = &vbms_frames[sent];
        out->time_ms = vbms_control.time_ms;
        out->id = vbms_control.first_id + frame;
        (void)edgebat_can_pack(&VBMS_MODEL, result, frame, number, out->data);
        sent++;
    }
}

static void send_all(void) {
    edgebat_result_t result;
    if (edgebat_result(&battery, &result) == EDGEBAT_OK) {
        send(EDGEBAT_CAN_HEALTH, counter, &result);
        send(EDGEBAT_CAN_DETAILS, 0U, &result);
        for (uint32_t part = 0U; 3U * part < VBMS_MODEL.points; part++) {
            send(EDGEBAT_CAN_FORECAST, part, &result);
        }
        send(EDGEBAT_CAN_MODEL, 0U, &result);
        counter = (counter + 1U) & 15U;
    }
}

/* Whenever there is something new, over the older of the two places, byte by byte. */
static void save(void) {
    if (battery.revision != saved_revision) {
        saved_revision = battery.revision;
        if (edgebat_state_get(&battery, saved, VBMS_SAVED_BYTES) == EDGEBAT_OK) {
            for (uint32_t i = 0U; i < VBMS_SAVED_BYTES; i++) {
                vbms_fram[next_place][i] = saved[i];
            }
            next_place = 1U - next_place;
            vbms_control.saves++;
        }
    }
}

int32_t vbms_power_on(void) {
    static uint8_t places[2][VBMS_SAVED_BYTES];
    config = vbms_control.config;
    read_place(0U, places[0]);
    read_place(1U, places[1]);
    const uint8_t *const newest =
        (const uint8_t *)edgebat_state_newest(&VBMS_MODEL, &config, places[0], places[1], VBMS_SAVED_BYTES);
    next_place = (newest == places[0]) ? 1U : 0U;
    sent = 0U;
    counter = 0U;
    since_frame_ms = 0U;
    int32_t code = edgebat_init(&battery, &VBMS_MODEL, &config, &work, newest, VBMS_SAVED_BYTES);
    saved_revision = battery.revision;
    if (code == EDGEBAT_OK) {
        code = edgebat_selftest(&battery);
    }
    return code;
}

uint32_t vbms_run(uint32_t samples) {
    sent = 0U;
    for (uint32_t i = 0U; (i < samples) && (i < VBMS_SAMPLES); i++) {
        const edgebat_sample_t *const sample = &vbms_samples[i];
        vbms_control.time_ms += sample->dt_ms;
        since_frame_ms += sample->dt_ms;
        (void)edgebat_push(&battery, sample);
        for (uint32_t slice = 0U; slice < vbms_control.steps_per_tick; slice++) {
            if (edgebat_step(&battery) != EDGEBAT_BUSY) {
                break;
            }
        }
        if (since_frame_ms >= vbms_control.frame_ms) {
            since_frame_ms = 0U;
            send_all();
        }
        save();
    }
    return sent;
}
