/*
 * edgebat_demo.h - samples of a made-up cell, so that an example shows a result on a bare board.
 *
 * The cell is discharged by a tenth, then charged at a rate that the model knows through the model's
 * window, and so on; every charge takes a little less, from three quarters to one quarter of the model's
 * training range. It is no measured cell, and the SOH it gets means nothing.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EDGEBAT_DEMO_H
#define EDGEBAT_DEMO_H

#include <stddef.h>

#include "edgebat/edgebat.h"

#ifdef __cplusplus
extern "C" {
#endif

#define EDGEBAT_DEMO_DISCHARGE 9U /* samples of the discharge */
#define EDGEBAT_DEMO_LEAD 3U      /* ... of the charge up to the window */
#define EDGEBAT_DEMO_REST 2U      /* ... above the window, and at rest */
#define EDGEBAT_DEMO_STEP_MS 50000U

typedef struct {
    const edgebat_model_t *model;
    uint32_t nominal_mAh;
    uint32_t cycle;
    uint32_t tick;   /* of the part of the cycle */
    uint32_t part;   /* 0: discharge, 1: lead, 2 and on: increments, then rest */
    int32_t charge;  /* ppm of the increment under way */
    int32_t rate_mC; /* of the charges: one that the model knows */
} edgebat_demo_t;

static inline void edgebat_demo_begin(edgebat_demo_t *demo, const edgebat_model_t *model,
                                      uint32_t nominal_mAh) {
    demo->model = model;
    demo->nominal_mAh = nominal_mAh;
    demo->cycle = 0U;
    demo->tick = 0U;
    demo->part = 0U;
    demo->charge = 0;
    demo->rate_mC = 250;
    if (model->knows_rate != NULL) {
        for (int32_t rate_mC = 25; (rate_mC <= 3000) && (model->knows_rate(demo->rate_mC) == 0);
             rate_mC += 25) {
            demo->rate_mC = rate_mC;
        }
    }
}

/** Voltage of a level, rounded up so that the level is reached. */
static inline int32_t edgebat_demo_mV(const edgebat_demo_t *demo, uint32_t level) {
    return (demo->model->level_uV[level] + 999) / 1000;
}

/** Charge that increment `i` takes in this cycle, ppm of nominal. */
static inline int32_t edgebat_demo_ppm(const edgebat_demo_t *demo, uint32_t i) {
    const int64_t high = demo->model->high_ppm[i];
    const int64_t span = high - demo->model->low_ppm[i];
    const int64_t ppm = high - (span * (int64_t)(8U + (demo->cycle % 16U))) / 32;
    return (int32_t)((ppm < 1000) ? 1000 : ((ppm > 300000) ? 300000 : ppm));
}

/** The next sample; charging is positive. */
static inline void edgebat_demo_next(edgebat_demo_t *demo, edgebat_sample_t *sample) {
    const uint32_t rest = 2U + demo->model->increments;
    const int32_t charging_mA = (int32_t)((demo->nominal_mAh * (uint32_t)demo->rate_mC) / 1000U) + 1;
    uint32_t ticks;
    int32_t mV;
    sample->temperature_ddegC = 250;
    sample->valid = EDGEBAT_VALID_ALL;
    sample->current_mA = charging_mA;
    sample->dt_ms = 10000U;
    if (demo->part == 0U) {
        ticks = EDGEBAT_DEMO_DISCHARGE;
        sample->current_mA = -(int32_t)demo->nominal_mAh;
        sample->dt_ms = EDGEBAT_DEMO_STEP_MS;
        mV = edgebat_demo_mV(demo, 0U) - 100;
    } else if (demo->part == 1U) {
        ticks = EDGEBAT_DEMO_LEAD;
        mV = edgebat_demo_mV(demo, 0U) - (15 * (int32_t)(EDGEBAT_DEMO_LEAD - 1U - demo->tick));
    } else if (demo->part < rest) {
        const uint32_t i = demo->part - 2U;
        const int32_t from = edgebat_demo_mV(demo, i);
        if (demo->tick == 0U) {
            demo->charge = edgebat_demo_ppm(demo, i);
        }
        const uint32_t all_ms = ((uint32_t)demo->charge * 3600U) / (uint32_t)demo->rate_mC;
        ticks = 4U + (all_ms / EDGEBAT_DEMO_STEP_MS);
        sample->dt_ms = all_ms / ticks;
        mV = from + (((edgebat_demo_mV(demo, i + 1U) - from) * (int32_t)(demo->tick + 1U)) / (int32_t)ticks);
    } else {
        ticks = EDGEBAT_DEMO_REST;
        mV = edgebat_demo_mV(demo, demo->model->increments) + 10;
        sample->current_mA = (demo->tick == 0U) ? charging_mA : 0;
    }
    sample->cell_mV = (int16_t)mV;
    demo->tick++;
    if (demo->tick >= ticks) {
        demo->tick = 0U;
        demo->part++;
        if (demo->part > rest) {
            demo->part = 0U;
            demo->cycle++;
        }
    }
}

#ifdef __cplusplus
}
#endif

#endif
