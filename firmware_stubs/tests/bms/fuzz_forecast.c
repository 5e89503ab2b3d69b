/*
 * fuzz_forecast.c - any results of an estimator, any saved histories: what the forecaster promises must hold.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "edgebat/edgebat_forecast.h"

#include "fake_trend.h"
#include "fuzz_part.h"

#define SOURCE 77U

static struct {
    uint64_t pushed, taken, forecasts;
} counted;

static void check_result(const edgebat_forecast_t *forecast) {
    edgebat_forecast_result_t r;
    uint8_t data[8];
    fuzz_require(edgebat_forecast_result(forecast, &r) == EDGEBAT_OK, "result fails");
    fuzz_require(r.covered <= TREND_CYCLES && r.missing <= TREND_LEAST, "counts");
    fuzz_require((r.covered == 0U) == (r.soh_cpct == EDGEBAT_UNKNOWN), "a value of no history");
    fuzz_require(r.points == 0U || r.points == trend_model.points, "points");
    fuzz_require((r.eol_cycles == EDGEBAT_UNKNOWN) || ((r.points != 0U) && (r.eol_cycles <= r.horizon)),
                 "an end of life that no trajectory reaches");
    fuzz_require(r.points == 0U || r.age_cycles <= TREND_MAX_GAP, "an old forecast speaks");
    fuzz_require(r.points != 0U || r.status != EDGEBAT_STATUS_OK, "OK without a forecast");
    for (uint32_t i = 0; i < r.points; i++) {
        fuzz_require(r.points_cpct[i] >= 1000U && r.points_cpct[i] <= 15000U, "an absurd SOH is believed");
    }
    for (uint32_t frame = 3U; frame <= 7U; frame++) {
        (void)edgebat_forecast_can_pack(&trend_model, &r, frame, r.cycle, data);
    }
    counted.forecasts += (r.status == EDGEBAT_STATUS_OK);
    tally.calls += 6U;
}

static void push(edgebat_forecast_t *forecast, fuzz_input_t *in, uint32_t cycle) {
    edgebat_result_t health = {0};
    const uint8_t kind = fuzz_byte(in);
    health.cycle = (kind < 10U) ? (uint32_t)fuzz_word(in) : cycle;
    health.model_cpct = (uint16_t)((kind < 30U) ? fuzz_range(in, 0, 65535) : fuzz_range(in, 9000, 9300));
    health.age_cycles = (uint16_t)((kind < 60U) ? fuzz_range(in, 0, 65535) : fuzz_range(in, 0, 2));
    health.status = (uint8_t)((kind > 250U) ? EDGEBAT_STATUS_MODEL_CORRUPT : EDGEBAT_STATUS_OK);
    const int code = edgebat_forecast_push(forecast, &health);
    fuzz_require(code == EDGEBAT_OK || code == EDGEBAT_IGNORED, "push fails");
    counted.pushed++;
    counted.taken += (code == EDGEBAT_OK);
    tally.calls++;
}

static void save(fuzz_part_t *m, fuzz_input_t *in) {
    uint8_t *const bad = fuzz_saved(m, in, edgebat_forecast_state_get(m->part, m->saved, m->saved_bytes));
    const int code = edgebat_forecast_state_check(&trend_model, SOURCE, bad, m->saved_bytes);
    const int same = fuzz_checked(m, bad, code);
    const void *const newest =
        edgebat_forecast_state_newest(&trend_model, SOURCE, bad, m->saved, m->saved_bytes);
    fuzz_require(newest == m->saved || (same && newest == bad), "the sound copy is lost");
    tally.calls++;
    fuzz_free(bad, 0);
}

static void restart(fuzz_part_t *m, fuzz_input_t *in) {
    uint32_t length;
    uint8_t *const bytes = fuzz_restart(m, in, &length);
    fuzz_restarted(m, bytes, edgebat_forecast_init(m->part, &trend_model, SOURCE, m->work, bytes, length));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    fuzz_input_t in = {data, size};
    fuzz_part_t memory = fuzz_part(sizeof(edgebat_forecast_t), TREND_WORK_BYTES, TREND_SAVED_BYTES);
    edgebat_forecast_t *const forecast = memory.part;
    uint32_t cycle = 1U;
    fuzz_require(edgebat_forecast_init(forecast, &trend_model, SOURCE, memory.work, NULL, 0) == EDGEBAT_OK,
                 "init");
    while (in.left > 0) {
        switch (fuzz_byte(&in) % 16U) {
        case 0:
            save(&memory, &in);
            break;
        case 1:
            restart(&memory, &in);
            break;
        case 2:
            trend_selftest_code = (fuzz_byte(&in) < 20U) ? EDGEBAT_ERR_GOLDEN : EDGEBAT_OK;
            (void)edgebat_forecast_selftest(forecast);
            break;
        case 3:
        case 4:
        case 5:
            (void)edgebat_forecast_step(forecast);
            break;
        default:
            cycle += (uint32_t)fuzz_range(&in, 0, 4);
            push(forecast, &in, cycle);
            (void)edgebat_forecast_step(forecast);
            break;
        }
        check_result(forecast);
    }
    fuzz_part_free(&memory);
    return 0;
}

#if defined(FUZZ_RANDOM)
static void report(void) {
    (void)printf("fuzz_forecast: %llu results pushed (%llu taken), %llu times a forecast\n",
                 (unsigned long long)counted.pushed, (unsigned long long)counted.taken,
                 (unsigned long long)counted.forecasts);
}
#endif
