/*
 * fuzz_bms.c - any samples, any saved states, any configuration: what the estimator promises must hold.
 *
 * Linked with libFuzzer it is guided by coverage; with FUZZ_RANDOM it has its own main: `fuzz_bms [calls
 * [seed]]`.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "edgebat/edgebat.h"
#include "edgebat/edgebat_can.h"

#include "fake_model.h"
#include "fuzz.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct {
    uint64_t calls, samples, ignored, inferences, states, corrupted, refused, restored, failed;
} tally_t;
static tally_t tally;

/* Memory of exactly the size the header names, so that AddressSanitizer sees the first byte too many. */
typedef struct {
    edgebat_t *battery;
    edgebat_config_t *config;
    uint32_t *work;
    uint8_t *saved; /* the last state, sound */
    int have_saved;
    uint16_t published;
    uint8_t settled;
    uint64_t allowed; /* slew: 0.01 % per hour, times ms */
} world_t;

static void choose_config(fuzz_input_t *in, edgebat_config_t *config) {
    const uint32_t nominal = (uint32_t)fuzz_range(in, 0, 8000);
    (void)edgebat_config_default(config, (fuzz_byte(in) < 20U) ? nominal * 250U : nominal);
    if (fuzz_byte(in) < 100U) {
        config->sign = (fuzz_byte(in) & 1U) ? EDGEBAT_DISCHARGE_POSITIVE : EDGEBAT_CHARGE_POSITIVE;
        config->full_mV = (int16_t)fuzz_range(in, -1, 4300);
        config->empty_mV = (int16_t)fuzz_range(in, -1, 3300);
        config->rated_cycles = (uint16_t)fuzz_range(in, 0, 2000);
        config->slew_cpct_h = (uint16_t)fuzz_range(in, 0, 65535);
        config->max_gap_ms = (uint32_t)fuzz_range(in, 0, 65535) * 2U;
        config->stuck_ppm = (uint32_t)fuzz_word(in) % 1100000U;
        config->max_current_mA = fuzz_word(in) % 2100000;
        config->min_mV = (int16_t)fuzz_range(in, -10, 4000);
        config->max_mV = (int16_t)fuzz_range(in, 0, 10100);
        config->reference_mAh = (uint32_t)fuzz_word(in) % 2100000U;
        config->invalid_ms = (uint32_t)fuzz_range(in, 0, 60000);
        config->stale_cycles = (uint16_t)fuzz_range(in, 0, 100);
    }
}

static void check_result(world_t *w) {
    edgebat_result_t r;
    uint8_t data[EDGEBAT_CAN_BYTES];
    fuzz_require(edgebat_result(w->battery, &r) == EDGEBAT_OK, "result fails");
    fuzz_require(r.status <= EDGEBAT_STATUS_MODEL_CORRUPT && r.source <= EDGEBAT_SOURCE_DATASHEET, "codes");
    fuzz_require(r.charge <= EDGEBAT_CHARGE_REPEATED, "charge code");
    fuzz_require(r.points <= EDGEBAT_POINTS_MAX && r.warmup <= FAKE_CONTEXT, "counts");
    fuzz_require(r.source != EDGEBAT_SOURCE_MODEL ||
                     (r.status != EDGEBAT_STATUS_MODEL_CORRUPT && r.status != EDGEBAT_STATUS_STALE &&
                      r.status != EDGEBAT_STATUS_WARMUP && r.age_cycles <= w->config->stale_cycles),
                 "the model speaks although it may not");
    fuzz_require(r.source == EDGEBAT_SOURCE_NONE || r.soh_cpct != EDGEBAT_UNKNOWN, "a source of nothing");
    fuzz_require(r.source != EDGEBAT_SOURCE_MODEL || (r.model_cpct >= 1000U && r.model_cpct <= 15000U),
                 "an absurd SOH is believed");
    fuzz_require(r.source != EDGEBAT_SOURCE_COUNTING || r.counting_cpct <= 15000U, "counting is absurd");
    /* The first measured value may take the place of a guess at once. */
    const int first = (w->battery->settled != 0U) && (w->settled == 0U);
    w->settled = w->battery->settled;
    if (!first && w->published != EDGEBAT_UNKNOWN && w->config->slew_cpct_h != 0U) {
        const uint32_t moved =
            (uint32_t)((r.soh_cpct > w->published) ? r.soh_cpct - w->published : w->published - r.soh_cpct);
        fuzz_require(moved <= w->allowed / 3600000U + 1U, "the published SOH jumps");
    }
    if (r.soh_cpct != w->published) {
        w->published = r.soh_cpct;
        w->allowed = 0;
    }
    for (uint32_t frame = 0; frame <= EDGEBAT_CAN_FRAMES; frame++) {
        (void)edgebat_can_pack(&fake_model, &r, frame, r.cycle, data);
        tally.calls++;
    }
    tally.calls++;
}

static void push(world_t *w, const edgebat_sample_t *sample) {
    const int code = edgebat_push(w->battery, sample);
    const uint32_t dt = (sample->dt_ms > w->config->max_gap_ms) ? w->config->max_gap_ms : sample->dt_ms;
    fuzz_require(code == EDGEBAT_OK || code == EDGEBAT_IGNORED, "push fails");
    const int possible = (sample->valid & 3U) == 3U && sample->cell_mV >= w->config->min_mV &&
                         sample->cell_mV <= w->config->max_mV &&
                         sample->current_mA <= w->config->max_current_mA &&
                         sample->current_mA >= -w->config->max_current_mA;
    fuzz_require((code == EDGEBAT_OK) == possible, "a sample is used or ignored wrongly");
    w->allowed += (uint64_t)dt * w->config->slew_cpct_h;
    tally.calls++;
    tally.samples++;
    tally.ignored += (code == EDGEBAT_IGNORED);
}

static void step(world_t *w, uint32_t most) {
    for (uint32_t i = 0; i < most; i++) {
        const uint8_t had_estimate = w->battery->has_estimate;
        const int code = edgebat_step(w->battery);
        fuzz_require(code == EDGEBAT_OK || code == EDGEBAT_BUSY, "step fails");
        tally.calls++;
        tally.inferences += (had_estimate == 0U) && (w->battery->has_estimate != 0U);
        if (code == EDGEBAT_OK) {
            break;
        }
    }
}

/* A charge or discharge as in life, with faults now and then: random numbers alone never complete one. */
static void ramp(world_t *w, fuzz_input_t *in) {
    const int32_t from = fuzz_range(in, 3400, 3650), to = fuzz_range(in, 3600, 3800);
    const int32_t ticks = fuzz_range(in, 2, 80);
    const int32_t mA = fuzz_range(in, -4000, 4000);
    const uint32_t dt = (uint32_t)fuzz_range(in, 1, 60000);
    const uint8_t faults = fuzz_byte(in);
    for (int32_t i = 0; i < ticks; i++) {
        edgebat_sample_t sample = {mA, dt, (int16_t)(from + (to - from) * i / (ticks - 1)), 250,
                                   EDGEBAT_VALID_ALL};
        if (faults > 200U && (i % 7) == 3) {
            sample.valid = (uint8_t)(faults & 7U);
            sample.cell_mV = (int16_t)(sample.cell_mV + (int32_t)(faults & 15U) - 8);
        }
        push(w, &sample);
        step(w, 1U + (faults & 1U) * 8U);
    }
}

/* A discharge and a charge that the model knows, about 7.5 % of nominal per level. */
static void cycle(world_t *w, fuzz_input_t *in) {
    const int32_t sign = (w->config->sign == EDGEBAT_DISCHARGE_POSITIVE) ? -1 : 1;
    const int32_t mA = (int32_t)w->config->nominal_mAh * sign;
    const uint32_t dt = 28800U + (uint32_t)fuzz_range(in, -6000, 6000);
    for (int32_t i = 0; i < 70; i++) {
        const int charging = i >= 10;
        const int32_t mV = charging ? (3560 + (160 * (i - 10)) / 59) : (3900 - (50 * i));
        const edgebat_sample_t sample = {charging ? mA : -mA, dt, (int16_t)mV, 250, EDGEBAT_VALID_ALL};
        push(w, &sample);
        step(w, 1U);
    }
    step(w, 8U);
}

static void corrupt_and_check(world_t *w, fuzz_input_t *in) {
    uint8_t *const bad = fuzz_memory(NULL, FAKE_SAVED_BYTES, 0);
    memcpy(bad, w->saved, FAKE_SAVED_BYTES);
    const int32_t faults = fuzz_range(in, 1, 8);
    for (int32_t i = 0; i < faults; i++) {
        bad[fuzz_range(in, 0, (int32_t)FAKE_SAVED_BYTES - 1)] ^= fuzz_byte(in);
    }
    const int same = memcmp(bad, w->saved, FAKE_SAVED_BYTES) == 0;
    const int code = edgebat_state_check(&fake_model, w->config, bad, FAKE_SAVED_BYTES);
    fuzz_require((code == EDGEBAT_OK) == same, "a corrupted state is believed");
    tally.corrupted += (uint64_t)!same;
    tally.refused += (code != EDGEBAT_OK);
    tally.calls++;
    fuzz_free(bad, 0);
}

static void restart(world_t *w, fuzz_input_t *in) {
    const uint8_t kind = fuzz_byte(in);
    int code;
    if (kind < 128U && w->have_saved) {
        code = edgebat_init(w->battery, &fake_model, w->config, w->work, w->saved, FAKE_SAVED_BYTES);
        fuzz_require(code == EDGEBAT_OK, "a sound state is refused");
        tally.restored++;
    } else {
        const uint32_t length = (uint32_t)fuzz_range(in, 0, 2 * (int32_t)FAKE_SAVED_BYTES);
        uint8_t *const blob = fuzz_memory(in, length, 0);
        code = edgebat_init(w->battery, &fake_model, w->config, w->work, blob, length);
        fuzz_require(code < 0 && code != EDGEBAT_ERR_CONFIG, "rubbish is believed");
        w->have_saved = 0;
        fuzz_free(blob, 0);
    }
    w->published = w->battery->published_cpct;
    w->settled = w->battery->settled;
    w->allowed = 0;
    tally.calls++;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    fuzz_input_t in = {data, size};
    world_t w = {0};
    w.battery = fuzz_memory(NULL, sizeof(edgebat_t), 0);
    w.config = fuzz_memory(NULL, sizeof(edgebat_config_t), 0);
    w.work = fuzz_memory(NULL, FAKE_WORK_BYTES, 0);
    w.saved = fuzz_memory(NULL, FAKE_SAVED_BYTES, 0);
    choose_config(&in, w.config);
    const int begun = edgebat_init(w.battery, &fake_model, w.config, w.work, NULL, 0);
    fuzz_require(begun == EDGEBAT_OK || begun == EDGEBAT_ERR_CONFIG, "init");
    w.published = EDGEBAT_UNKNOWN;
    tally.calls++;
    tally.failed += (begun != EDGEBAT_OK);
    while (begun == EDGEBAT_OK && in.left > 0) {
        edgebat_sample_t sample = {0, 0, 0, 0, 0};
        switch (fuzz_byte(&in) % 9U) {
        case 0: /* anything */
            sample.current_mA = fuzz_word(&in);
            sample.dt_ms = (uint32_t)fuzz_word(&in);
            sample.cell_mV = (int16_t)fuzz_range(&in, -32768, 32767);
            sample.temperature_ddegC = (int16_t)fuzz_range(&in, -32768, 32767);
            sample.valid = fuzz_byte(&in);
            push(&w, &sample);
            break;
        case 1:
        case 2:
        case 3:
            ramp(&w, &in);
            break;
        case 4:
            cycle(&w, &in);
            break;
        case 5:
            step(&w, (uint32_t)fuzz_range(&in, 0, 6));
            break;
        case 6:
            fuzz_require(edgebat_state_get(w.battery, w.saved, FAKE_SAVED_BYTES) == EDGEBAT_OK, "state_get");
            w.have_saved = 1;
            tally.states++;
            tally.calls++;
            corrupt_and_check(&w, &in);
            break;
        case 7:
            restart(&w, &in);
            break;
        default:
            fake_selftest_code = (fuzz_byte(&in) < 20U) ? EDGEBAT_ERR_GOLDEN : EDGEBAT_OK;
            (void)edgebat_selftest(w.battery);
            tally.calls++;
            break;
        }
        check_result(&w);
    }
    fuzz_free(w.battery, 0);
    fuzz_free(w.config, 0);
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
        "fuzz_bms: %llu calls, %llu samples (%llu ignored), %llu first estimates, %llu states saved, "
        "%llu restored, %llu corrupted, %llu refused, %llu configurations refused\n",
        (unsigned long long)tally.calls, (unsigned long long)tally.samples, (unsigned long long)tally.ignored,
        (unsigned long long)tally.inferences, (unsigned long long)tally.states,
        (unsigned long long)tally.restored, (unsigned long long)tally.corrupted,
        (unsigned long long)tally.refused, (unsigned long long)tally.failed);
    return 0;
}

#endif
