/*
 * fuzz_forecast.c - any results of an estimator, any saved histories: what the forecaster promises must hold.
 *
 * Linked with libFuzzer it is guided by coverage; with FUZZ_RANDOM it has its own main:
 * `fuzz_forecast [calls [seed]]`.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "edgebat/edgebat_forecast.h"

#include "fake_trend.h"
#include "fuzz.h"

#include <string.h>

#define SOURCE 77U

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct {
    uint64_t calls, pushed, taken, forecasts, states, corrupted, refused, restored;
} tally_t;
static tally_t tally;

/* Memory of exactly the size the header names, so that AddressSanitizer sees the first byte too many. */
typedef struct {
    edgebat_forecast_t *forecast;
    uint32_t *work;
    uint8_t *saved; /* the last history, sound */
    int have_saved;
} world_t;

static void check_result(const world_t *w) {
    edgebat_forecast_result_t r;
    uint8_t data[8];
    fuzz_require(edgebat_forecast_result(w->forecast, &r) == EDGEBAT_OK, "result fails");
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
    tally.forecasts += (r.status == EDGEBAT_STATUS_OK);
    tally.calls += 6U;
}

static void push(world_t *w, fuzz_input_t *in, uint32_t cycle) {
    edgebat_result_t health = {0};
    const uint8_t kind = fuzz_byte(in);
    health.cycle = (kind < 10U) ? (uint32_t)fuzz_word(in) : cycle;
    health.model_cpct = (uint16_t)((kind < 30U) ? fuzz_range(in, 0, 65535) : fuzz_range(in, 9000, 9300));
    health.age_cycles = (uint16_t)((kind < 60U) ? fuzz_range(in, 0, 65535) : fuzz_range(in, 0, 2));
    health.status = (uint8_t)((kind > 250U) ? EDGEBAT_STATUS_MODEL_CORRUPT : EDGEBAT_STATUS_OK);
    const int code = edgebat_forecast_push(w->forecast, &health);
    fuzz_require(code == EDGEBAT_OK || code == EDGEBAT_IGNORED, "push fails");
    tally.pushed++;
    tally.taken += (code == EDGEBAT_OK);
    tally.calls++;
}

static void corrupt_and_check(const world_t *w, fuzz_input_t *in) {
    uint8_t *const bad = fuzz_memory(NULL, TREND_SAVED_BYTES, 0);
    memcpy(bad, w->saved, TREND_SAVED_BYTES);
    const int32_t faults = fuzz_range(in, 1, 8);
    for (int32_t i = 0; i < faults; i++) {
        bad[fuzz_range(in, 0, (int32_t)TREND_SAVED_BYTES - 1)] ^= fuzz_byte(in);
    }
    const int same = memcmp(bad, w->saved, TREND_SAVED_BYTES) == 0;
    const int code = edgebat_forecast_state_check(&trend_model, SOURCE, bad, TREND_SAVED_BYTES);
    fuzz_require((code == EDGEBAT_OK) == same, "a corrupted history is believed");
    const void *const newest =
        edgebat_forecast_state_newest(&trend_model, SOURCE, bad, w->saved, TREND_SAVED_BYTES);
    fuzz_require(newest == w->saved || (same && newest == bad), "the sound place is lost");
    tally.corrupted += (uint64_t)!same;
    tally.refused += (code != EDGEBAT_OK);
    tally.calls += 2U;
    fuzz_free(bad, 0);
}

static void restart(world_t *w, fuzz_input_t *in) {
    if (fuzz_byte(in) < 128U && w->have_saved) {
        fuzz_require(edgebat_forecast_init(w->forecast, &trend_model, SOURCE, w->work, w->saved,
                                           TREND_SAVED_BYTES) == EDGEBAT_OK,
                     "a sound history is refused");
        tally.restored++;
    } else {
        const uint32_t length = (uint32_t)fuzz_range(in, 0, 2 * (int32_t)TREND_SAVED_BYTES);
        uint8_t *const blob = fuzz_memory(in, length, 0);
        const int code = edgebat_forecast_init(w->forecast, &trend_model, SOURCE, w->work, blob, length);
        fuzz_require(code < 0, "rubbish is believed");
        w->have_saved = 0;
        fuzz_free(blob, 0);
    }
    tally.calls++;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    fuzz_input_t in = {data, size};
    world_t w = {0};
    uint32_t cycle = 1U;
    w.forecast = fuzz_memory(NULL, sizeof(edgebat_forecast_t), 0);
    w.work = fuzz_memory(NULL, TREND_WORK_BYTES, 0);
    w.saved = fuzz_memory(NULL, TREND_SAVED_BYTES, 0);
    fuzz_require(edgebat_forecast_init(w.forecast, &trend_model, SOURCE, w.work, NULL, 0) == EDGEBAT_OK,
                 "init");
    while (in.left > 0) {
        switch (fuzz_byte(&in) % 16U) {
        case 0:
            fuzz_require(edgebat_forecast_state_get(w.forecast, w.saved, TREND_SAVED_BYTES) == EDGEBAT_OK,
                         "state_get");
            w.have_saved = 1;
            tally.states++;
            corrupt_and_check(&w, &in);
            break;
        case 1:
            restart(&w, &in);
            break;
        case 2:
            trend_selftest_code = (fuzz_byte(&in) < 20U) ? EDGEBAT_ERR_GOLDEN : EDGEBAT_OK;
            (void)edgebat_forecast_selftest(w.forecast);
            break;
        case 3:
        case 4:
        case 5:
            (void)edgebat_forecast_step(w.forecast);
            break;
        default:
            cycle += (uint32_t)fuzz_range(&in, 0, 4);
            push(&w, &in, cycle);
            (void)edgebat_forecast_step(w.forecast);
            break;
        }
        check_result(&w);
    }
    fuzz_free(w.forecast, 0);
    fuzz_free(w.work, 0);
    fuzz_free(w.saved, 0);
    return 0;
}

#if defined(FUZZ_RANDOM)

enum { LONGEST = 2000 };

int main(int argc, char **argv) {
    static uint8_t data[LONGEST];
    const uint64_t wanted = (argc > 1) ? strtoull(argv[1], NULL, 10) : 100000U;
    uint64_t state = ((argc > 2) ? strtoull(argv[2], NULL, 10) : 1U) * UINT64_C(0x9E3779B97F4A7C15) + 1U;
    while (tally.calls < wanted) {
        for (size_t i = 0; i < LONGEST; i++) {
            state ^= state << 13; /* xorshift64 */
            state ^= state >> 7;
            state ^= state << 17;
            data[i] = (uint8_t)(state >> 32);
        }
        (void)LLVMFuzzerTestOneInput(data, LONGEST);
    }
    (void)printf(
        "fuzz_forecast: %llu calls, %llu results pushed (%llu taken), %llu times a forecast, %llu histories "
        "saved, %llu restored, %llu corrupted, %llu refused\n",
        (unsigned long long)tally.calls, (unsigned long long)tally.pushed, (unsigned long long)tally.taken,
        (unsigned long long)tally.forecasts, (unsigned long long)tally.states,
        (unsigned long long)tally.restored, (unsigned long long)tally.corrupted,
        (unsigned long long)tally.refused);
    return 0;
}

#endif
