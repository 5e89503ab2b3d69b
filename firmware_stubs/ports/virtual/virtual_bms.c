/*
 * virtual_bms.c - the firmware of a simulated board: one cell, two slots in FRAM, a CAN controller.
 *
 * The simulator plays the world: it fills `vbms_samples`, calls vbms_run, and takes the frames out of
 * `vbms_frames`. A power cut is a simulator that stops anywhere, forgets the RAM and calls vbms_power_on
 * again; only `vbms_fram` survives. `edgebat replay` and the tests run this file, on a simulated Cortex-M4
 * and on the computer.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "virtual_bms.h"

#include <stddef.h>

#include "edgebat/edgebat_can.h"
#include "edgebat/edgebat_ocv.h"
#include "edgebat/edgebat_resistance.h"
#include "edgebat/edgebat_service.h"
#include "vbms_model.h" /* generated: VBMS_MODEL, VBMS_SAVED_BYTES and perhaps VBMS_FORECAST_... */

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
static uint32_t next_slot;
static uint32_t sent;
static uint32_t counter;
static uint32_t since_frame_ms;
static uint32_t saved_revision;

EDGEBAT_STATIC_ASSERT(VBMS_SAVED_BYTES <= VBMS_FRAM_BYTES, state_fits_into_fram);

static void read_slot(const volatile uint8_t *slot, uint8_t *buffer, uint32_t bytes) {
    for (uint32_t i = 0U; i < bytes; i++) {
        buffer[i] = slot[i];
    }
}

/* Byte by byte: a power cut may come between any two. */
static void write_slot(volatile uint8_t *slot, const uint8_t *buffer, uint32_t bytes) {
    for (uint32_t i = 0U; i < bytes; i++) {
        slot[i] = buffer[i];
    }
}

/* The next frame to be filled, or NULL. */
static uint8_t *next_frame(uint32_t frame) {
    uint8_t *data = NULL;
    if (sent < VBMS_FRAMES) {
        vbms_frames[sent].time_ms = vbms_control.time_ms;
        vbms_frames[sent].id = vbms_control.first_id + frame;
        data = vbms_frames[sent].data;
        sent++;
    }
    return data;
}

static void send(uint32_t frame, uint32_t number, const edgebat_result_t *result) {
    (void)edgebat_can_pack(&VBMS_MODEL, result, frame, number, next_frame(frame));
}

#if defined(VBMS_FORECAST_MODEL)

volatile uint8_t vbms_forecast_fram[2][VBMS_FRAM_BYTES] FRAM;

static edgebat_forecast_t forecast;
static vbms_forecast_work_t forecast_work;
static uint8_t forecast_saved[VBMS_FORECAST_SAVED_BYTES];
static uint32_t forecast_slot;
static uint32_t forecast_saved_revision;
static uint32_t pushed_revision;
static uint32_t pushed; /* something was pushed since power-on */

EDGEBAT_STATIC_ASSERT(VBMS_FORECAST_SAVED_BYTES <= VBMS_FRAM_BYTES, history_fits_into_fram);

static int32_t forecast_begin(void) {
    static uint8_t slots[2][VBMS_FORECAST_SAVED_BYTES];
    const uint32_t source = VBMS_MODEL.fingerprint;
    read_slot(vbms_forecast_fram[0], slots[0], VBMS_FORECAST_SAVED_BYTES);
    read_slot(vbms_forecast_fram[1], slots[1], VBMS_FORECAST_SAVED_BYTES);
    const void *const newest = edgebat_forecast_state_newest(&VBMS_FORECAST_MODEL, source, slots[0], slots[1],
                                                             VBMS_FORECAST_SAVED_BYTES);
    forecast_slot = (newest == slots[0]) ? 1U : 0U;
    int32_t code = edgebat_forecast_init(&forecast, &VBMS_FORECAST_MODEL, source, &forecast_work, newest,
                                         VBMS_FORECAST_SAVED_BYTES);
    forecast_saved_revision = forecast.revision;
    pushed = 0U;
    if (code == EDGEBAT_OK) {
        code = edgebat_forecast_selftest(&forecast);
    }
    return code;
}

/* What is new of the estimator's, then a slice of work. */
static void forecast_tick(void) {
    edgebat_result_t result;
    if (((pushed == 0U) || (battery.revision != pushed_revision)) &&
        (edgebat_result(&battery, &result) == EDGEBAT_OK)) {
        pushed = 1U;
        pushed_revision = battery.revision;
        (void)edgebat_forecast_push(&forecast, &result);
    }
    (void)edgebat_forecast_step(&forecast);
}

static void forecast_send(void) {
    edgebat_forecast_result_t outlook;
    const edgebat_forecast_model_t *const model = &VBMS_FORECAST_MODEL;
    if (edgebat_forecast_result(&forecast, &outlook) == EDGEBAT_OK) {
        (void)edgebat_forecast_can_pack(model, &outlook, EDGEBAT_CAN_OUTLOOK, 0U,
                                        next_frame(EDGEBAT_CAN_OUTLOOK));
        for (uint32_t part = 0U; 3U * part < model->points; part++) {
            (void)edgebat_forecast_can_pack(model, &outlook, EDGEBAT_CAN_TRAJECTORY, part,
                                            next_frame(EDGEBAT_CAN_TRAJECTORY));
        }
        (void)edgebat_forecast_can_pack(model, &outlook, EDGEBAT_CAN_FORECASTER, 0U,
                                        next_frame(EDGEBAT_CAN_FORECASTER));
    }
}

/* After the estimator's state, so that no history is ahead of it. */
static void forecast_save(void) {
    if (forecast.revision != forecast_saved_revision) {
        forecast_saved_revision = forecast.revision;
        if (edgebat_forecast_state_get(&forecast, forecast_saved, VBMS_FORECAST_SAVED_BYTES) == EDGEBAT_OK) {
            write_slot(vbms_forecast_fram[forecast_slot], forecast_saved, VBMS_FORECAST_SAVED_BYTES);
            forecast_slot = 1U - forecast_slot;
        }
    }
}

#else

static int32_t forecast_begin(void) {
    return EDGEBAT_OK;
}

static void forecast_tick(void) {
}

static void forecast_send(void) {
}

static void forecast_save(void) {
}

#endif

static void send_all(void) {
    edgebat_result_t result;
    if (edgebat_result(&battery, &result) == EDGEBAT_OK) {
        send(EDGEBAT_CAN_HEALTH, counter, &result);
        send(EDGEBAT_CAN_DETAILS, 0U, &result);
        for (uint32_t part = 0U; 3U * part < VBMS_MODEL.points; part++) {
            send(EDGEBAT_CAN_FORECAST, part, &result);
        }
        send(EDGEBAT_CAN_MODEL, 0U, &result);
#if EDGEBAT_RESISTANCE
        send(EDGEBAT_CAN_RESISTANCE, 0U, &result);
#endif
        forecast_send();
        counter = (counter + 1U) & 15U;
    }
}

/* Whenever there is something new, over the older of the two slots. */
static void save(void) {
    if (battery.revision != saved_revision) {
        saved_revision = battery.revision;
        if (edgebat_state_get(&battery, saved, VBMS_SAVED_BYTES) == EDGEBAT_OK) {
            write_slot(vbms_fram[next_slot], saved, VBMS_SAVED_BYTES);
            next_slot = 1U - next_slot;
            vbms_control.saves++;
        }
    }
}

int32_t vbms_power_on(void) {
    static uint8_t slots[2][VBMS_SAVED_BYTES];
    config = vbms_control.config;
    read_slot(vbms_fram[0], slots[0], VBMS_SAVED_BYTES);
    read_slot(vbms_fram[1], slots[1], VBMS_SAVED_BYTES);
    const uint8_t *const newest =
        (const uint8_t *)edgebat_state_newest(&VBMS_MODEL, &config, slots[0], slots[1], VBMS_SAVED_BYTES);
    next_slot = (newest == slots[0]) ? 1U : 0U;
    sent = 0U;
    counter = 0U;
    since_frame_ms = 0U;
    int32_t code = edgebat_init(&battery, &VBMS_MODEL, &config, &work, newest, VBMS_SAVED_BYTES);
    saved_revision = battery.revision;
#if defined(VBMS_OCV)
    if (code >= EDGEBAT_OK) {
        (void)edgebat_use_ocv(&battery, &VBMS_OCV);
    }
#endif
    if (code >= EDGEBAT_OK) {
        code = edgebat_selftest(&battery);
    }
    if (code == EDGEBAT_OK) {
        code = forecast_begin();
    }
    return code;
}

int32_t vbms_seed(uint32_t soh_and_sigma) {
    return edgebat_seed(&battery, (uint16_t)(soh_and_sigma & 0xFFFFU), (uint16_t)(soh_and_sigma >> 16U));
}

int32_t vbms_reset(uint32_t what) {
    return edgebat_reset(&battery, what);
}

/* The board gives its use and health to itself, as if it were another one. */
int32_t vbms_adopt(uint32_t serial) {
    edgebat_use_t use;
    int32_t code = edgebat_use(&battery, &use);
    if (code == EDGEBAT_OK) {
        use.serial = serial;
        code = edgebat_adopt(&battery, &use);
    }
    return code;
}

#if EDGEBAT_RESISTANCE
int32_t vbms_begin_resistance(uint32_t new_uOhm) {
    return edgebat_begin_resistance(&battery, new_uOhm);
}
#endif

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
        forecast_tick();
        if (since_frame_ms >= vbms_control.frame_ms) {
            since_frame_ms = 0U;
            send_all();
        }
        save();
        forecast_save();
    }
    return sent;
}

int32_t vbms_sleep(uint32_t elapsed_ms) {
    vbms_control.time_ms += elapsed_ms;
    since_frame_ms += elapsed_ms;
    return edgebat_idle(&battery, elapsed_ms);
}
