/*
 * virtual_bms.h - what the simulator and the firmware of the simulated board share.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef VIRTUAL_BMS_H
#define VIRTUAL_BMS_H

#include "edgebat/edgebat.h"

#define VBMS_SAMPLES 2048U
#define VBMS_FRAMES 22528U
#define VBMS_FRAM_BYTES 4096U

typedef struct {
    uint32_t time_ms; /* of the board's clock, since it was built */
    uint32_t id;
    uint8_t data[8];
} vbms_frame_t;

typedef struct {
    uint32_t time_ms;
    uint32_t first_id;       /* CAN identifier of the first frame */
    uint32_t frame_ms;       /* time between frames */
    uint32_t steps_per_tick; /* slices per sample */
    uint32_t saves;          /* states written since power-on */
    edgebat_config_t config;
} vbms_control_t;

extern edgebat_sample_t vbms_samples[VBMS_SAMPLES];
extern vbms_frame_t vbms_frames[VBMS_FRAMES];
extern vbms_control_t vbms_control;
extern volatile uint8_t vbms_fram[2][VBMS_FRAM_BYTES]; /* states of the estimator */
extern volatile uint8_t
    vbms_forecast_fram[2][VBMS_FRAM_BYTES]; /* histories of the forecaster, if there is one */

/** The board gets power: look for a saved state, begin, test the model. Returns the code of init or selftest.
 */
int32_t vbms_power_on(void);

/** Work through `samples` of vbms_samples. Returns the number of frames sent. */
uint32_t vbms_run(uint32_t samples);

/** Time passed without samples: edgebat_idle. Returns its code. */
int32_t vbms_sleep(uint32_t elapsed_ms);

/** What a workshop does: edgebat_seed with the deviation in the upper half, edgebat_reset, and edgebat_adopt of the
 * board's own use with a serial number. */
int32_t vbms_seed(uint32_t soh_and_sigma);
int32_t vbms_reset(uint32_t what);
int32_t vbms_adopt(uint32_t serial);
#if EDGEBAT_RESISTANCE
int32_t vbms_begin_resistance(uint32_t new_uOhm);
#endif

#endif
