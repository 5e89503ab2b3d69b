/*
 * proof_forecast.c - the forecaster: any estimates, any model, any answers of it, in any state, and any bytes instead of a saved history.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "proof.h"

#include "edgebat_forecast_bms.h"

#define COLUMNS 2U
#define CYCLES 6U
#define LEAST 2U
#define POINTS 2U
#define SLICES 3U
#define SCRATCH 8U
#define OUTPUT_BYTES 8U
#define WORK_BYTES EDGEBAT_FORECAST_WORK_BYTES(SCRATCH, COLUMNS, OUTPUT_BYTES, CYCLES)
#define SAVED_BYTES EDGEBAT_FORECAST_SAVED_BYTES(CYCLES)

static int32_t trend_low_ppm[COLUMNS];
static int32_t trend_high_ppm[COLUMNS];
static uint32_t trend_work[(WORK_BYTES + 3U) / 4U];
static edgebat_forecast_model_t trend_model;
static edgebat_forecast_t trend;

static void trend_quantize(const int32_t *ppm, int32_t last_ppm, int8_t *row) {
    for (uint32_t i = 0U; i < COLUMNS; i++) {
        row[i] = (int8_t)((ppm[i] < last_ppm) ? ANY_SIGNED(-128, -1) : ANY_SIGNED(0, 127));
    }
}

static int trend_run_slice(uint32_t slice, const int8_t *window, void *output, void *scratch) {
    proof_require(slice < SLICES);
    proof_require(window[CYCLES - 1U] <= 127);
    Frama_C_make_unknown((char *)output, OUTPUT_BYTES);
    Frama_C_make_unknown((char *)scratch, SCRATCH);
    return (int)ANY_SIGNED(EDGEBAT_ERR_DAMAGED, EDGEBAT_OK);
}

static int32_t trend_read(const void *output, int32_t last_ppm, uint32_t what) {
    const uint32_t read = what + ((const uint8_t *)output)[OUTPUT_BYTES - 1U];
    return (int32_t)(((last_ppm < 0) && (read == 0U)) ? 0 : ANY_SIGNED(INT32_MIN, INT32_MAX));
}

static int trend_selftest(void *output, void *scratch) {
    Frama_C_make_unknown((char *)output, OUTPUT_BYTES);
    Frama_C_make_unknown((char *)scratch, SCRATCH);
    return (int)ANY_SIGNED(EDGEBAT_ERR_DAMAGED, EDGEBAT_OK);
}

static void any_trend_model(void) {
    Frama_C_make_unknown((char *)trend_low_ppm, sizeof trend_low_ppm);
    Frama_C_make_unknown((char *)trend_high_ppm, sizeof trend_high_ppm);
    Frama_C_make_unknown((char *)&trend_model, sizeof trend_model);
    trend_model.name = "trend";
    trend_model.low_ppm = trend_low_ppm;
    trend_model.high_ppm = trend_high_ppm;
    trend_model.columns = COLUMNS;
    trend_model.cycles = CYCLES;
    trend_model.least_cycles = LEAST;
    trend_model.slices = SLICES;
    trend_model.points = POINTS;
    trend_model.output_bytes = OUTPUT_BYTES;
    trend_model.scratch_bytes = SCRATCH;
    trend_model.quantize = &trend_quantize;
    trend_model.run_slice = &trend_run_slice;
    trend_model.read = &trend_read;
    trend_model.selftest = &trend_selftest;
}

/* What edgebat_forecast_init lets pass, which main shows. */
static void sound_model(void) {
    any_trend_model();
    trend_model.max_gap = (uint16_t)ANY_UNSIGNED(1U, 1024U);
}

static void any_trend(uint32_t covered, uint32_t slice) {
    sound_model();
    Frama_C_make_unknown((char *)trend_work, sizeof trend_work);
    Frama_C_make_unknown((char *)&trend, sizeof trend);
    trend.model = &trend_model;
    trend.work = (uint8_t *)trend_work;
    trend.covered = (uint16_t)covered;
    trend.slice = (uint16_t)slice;
}

static void require_trend(void) {
    proof_require((trend.model == &trend_model) && (trend.work == (uint8_t *)trend_work));
    proof_require(trend.covered <= CYCLES);
    proof_require(trend.slice <= SLICES + 1U);
}

static void use_trend(uint32_t covered, uint32_t slice) {
    edgebat_result_t health;
    edgebat_forecast_result_t result;
    uint8_t data[8];
    uint8_t saved[SAVED_BYTES];
    Frama_C_make_unknown((char *)&health, sizeof health);
    any_trend(covered, slice);
    (void)edgebat_forecast_push(&trend, &health);
    require_trend();
    any_trend(covered, slice);
    (void)edgebat_forecast_step(&trend);
    require_trend();
    any_trend(covered, slice);
    (void)edgebat_forecast_selftest(&trend);
    require_trend();
    any_trend(covered, slice);
    proof_require(edgebat_forecast_result(&trend, &result) == EDGEBAT_OK);
    (void)edgebat_forecast_can_pack(&trend_model, &result, (uint32_t)ANY_UNSIGNED(0U, UINT32_MAX),
                                    (uint32_t)ANY_UNSIGNED(0U, UINT32_MAX), data);
    proof_require(edgebat_forecast_state_get(&trend, saved, SAVED_BYTES) == EDGEBAT_OK);
    require_trend();
}

/* Bytes instead of a saved history, the one at `at` from low to high: the number of covered cycles is read twice. */
static void begin(uint32_t at, uint32_t low, uint32_t high, uint32_t most_after) {
    uint8_t saved[SAVED_BYTES];
    any_trend_model();
    Frama_C_make_unknown((char *)saved, sizeof saved);
    saved[at] = (uint8_t)ANY_UNSIGNED(low, high);
    for (uint32_t i = at + 1U; i < 28U; i++) {
        saved[i] = (uint8_t)ANY_UNSIGNED(0U, most_after);
    }
    if (edgebat_forecast_init(&trend, &trend_model, (uint32_t)ANY_UNSIGNED(0U, UINT32_MAX), trend_work, saved,
                              SAVED_BYTES) == EDGEBAT_OK) {
        require_trend();
        proof_require((trend_model.max_gap >= 1U) && (trend_model.max_gap <= 1024U));
    }
}

int main(void) {
    for (uint32_t covered = 0U; covered <= CYCLES; covered++) {
        for (uint32_t slice = 0U; slice <= SLICES + 1U; slice++) {
            use_trend(covered, slice);
        }
    }
    begin(24U, 0U, CYCLES, 0U);
    begin(24U, CYCLES + 1U, 255U, 255U);
    begin(25U, 1U, 255U, 255U);
    begin(26U, 1U, 255U, 255U);
    begin(27U, 1U, 255U, 255U);
    return 0;
}
