/*
 * bms_soh.c - floats of volts, amperes and degrees Celsius (positive current charges) become the integers of
 * the estimator, and its result becomes floats. The only file of the port with floating point.
 *
 * The cells of a pack in series carry one current; every one of them has its own estimator, and the pack is as
 * healthy as the weakest. While one of them is not known, the pack is not. A chemistry that is never charged
 * through the model's window, as LFP is not through that of an NCA model, is refused and shows NaN.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "bms_soh.h"

#include "edgebat_zephyr.h"

#include <bms/bms.h>
#include <math.h>
#include <zephyr/kernel.h>

struct bms_soh bms_soh = {NAN, NAN, NAN, EDGEBAT_STATUS_WARMUP, EDGEBAT_SOURCE_NONE};

static edgebat_config_t config;
static int64_t last_ms;

/** Rounded; false for what is no number or lies outside the integer. */
static int to_integer(float value, float factor, float limit, int32_t *out) {
    const float scaled = value * factor;
    const int fits = (scaled > -limit) && (scaled < limit);
    *out = fits ? (int32_t)(scaled + ((scaled < 0.0F) ? -0.5F : 0.5F)) : 0;
    return fits;
}

static float from_cpct(uint16_t cpct) {
    return (cpct == EDGEBAT_UNKNOWN) ? NAN : ((float)cpct * 0.01F);
}

static void begin(const struct bms_context *bms, uint32_t nominal_mAh) {
    int32_t mV;
    (void)edgebat_port_config(&config);
    config.nominal_mAh = nominal_mAh;
    config.reference_mAh = nominal_mAh;
    config.max_current_mA = (nominal_mAh > 100000U) ? 2000000 : (int32_t)(20U * nominal_mAh);
    config.cutoff_mA = (int32_t)(nominal_mAh / 20U);
    config.sign = (uint8_t)EDGEBAT_CHARGE_POSITIVE;
    /* A cell is full at its charge limit and empty at its discharge limit; the current says the rest. */
    if (to_integer(bms->ic_conf.cell_chg_voltage_limit, 1000.0F, 10000.0F, &mV) && (mV > 20)) {
        config.full_mV = (int16_t)(mV - 20);
    }
    if (to_integer(bms->ic_conf.cell_dis_voltage_limit, 1000.0F, 10000.0F, &mV) && (mV > 0)) {
        config.empty_mV = (int16_t)mV;
    }
    (void)edgebat_zephyr_start(&config);
    last_ms = k_uptime_get();
}

/** The weakest cell, or the first one of which nothing is known. */
static void find_weakest(uint32_t cells, edgebat_result_t *weakest) {
    static edgebat_result_t result;
    (void)edgebat_zephyr_result_cell(0U, weakest);
    for (uint32_t cell = 1U; cell < cells; cell++) {
        (void)edgebat_zephyr_result_cell(cell, &result);
        if ((weakest->soh_cpct != EDGEBAT_UNKNOWN) &&
            ((result.soh_cpct == EDGEBAT_UNKNOWN) || (result.soh_cpct < weakest->soh_cpct))) {
            *weakest = result;
        }
    }
}

static void publish(uint32_t cells) {
    static edgebat_result_t result;
    find_weakest(cells, &result);
    bms_soh.soh_pct = from_cpct(result.soh_cpct);
    bms_soh.sigma_pct = from_cpct(result.sigma_cpct);
    bms_soh.rul_cycles = (result.rul_cycles == EDGEBAT_UNKNOWN) ? NAN : (float)result.rul_cycles;
    bms_soh.status = (uint16_t)result.status;
    bms_soh.source = (uint16_t)result.source;
}

/** One sample of every cell, which differ in their voltage. */
static void push(const struct bms_context *bms, uint32_t cells, edgebat_sample_t *sample) {
    const uint8_t valid = sample->valid;
    for (uint32_t cell = 0U; cell < cells; cell++) {
        int32_t mV;
        const int known = to_integer(bms->ic_data.cell_voltages[cell], 1000.0F, 32767.0F, &mV);
        sample->valid = (uint8_t)(valid | (known ? EDGEBAT_VALID_VOLTAGE : 0U));
        sample->cell_mV = (int16_t)mV;
        (void)edgebat_zephyr_push_cell(cell, sample);
    }
}

void bms_soh_update(struct bms_context *bms) {
    const uint32_t cells = (uint32_t)bms->ic_data.connected_cells;
    int32_t nominal_mAh;
    /* Of more cells than are followed the weakest may be another one: nothing is said then. */
    if ((cells >= 1U) && (cells <= EDGEBAT_ZEPHYR_CELLS) &&
        to_integer(bms->nominal_capacity_Ah, 1000.0F, 2.0e6F, &nominal_mAh) && (nominal_mAh >= 10)) {
        if ((uint32_t)nominal_mAh != config.nominal_mAh) {
            begin(bms, (uint32_t)nominal_mAh);
        }
        const int64_t now = k_uptime_get();
        int32_t mA;
        int32_t ddegC;
        edgebat_sample_t sample = {0};
        sample.valid |= to_integer(bms->ic_data.current, 1000.0F, 2.0e9F, &mA) ? EDGEBAT_VALID_CURRENT : 0U;
        sample.valid |=
            to_integer(bms->ic_data.cell_temp_avg, 10.0F, 32767.0F, &ddegC) ? EDGEBAT_VALID_TEMPERATURE : 0U;
        sample.current_mA = mA;
        sample.temperature_ddegC = (int16_t)ddegC;
        sample.dt_ms = (now - last_ms > (int64_t)UINT32_MAX) ? UINT32_MAX : (uint32_t)(now - last_ms);
        last_ms = now;
        push(bms, cells, &sample);
        publish(cells);
    }
}
