/*
 * fuzz_bms.c - any samples, any saved states, any configuration: what the estimator promises must hold.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "edgebat/edgebat.h"
#include "edgebat/edgebat_can.h"
#include "edgebat/edgebat_ocv.h"
#include "edgebat/edgebat_resistance.h"
#include "edgebat/edgebat_service.h"

#include "fake_model.h"
#include "fuzz_part.h"

static struct {
    uint64_t samples, ignored, inferences, failed, rests, resistances;
} counted;

typedef struct {
    fuzz_part_t memory;
    edgebat_t *battery; /* memory.part */
    edgebat_config_t *config;
    uint16_t published;
    uint8_t settled;
    int told;         /* a resistance is known */
    uint64_t allowed; /* slew: 0.01 % per hour, times ms */
} world_t;

#define ONE_MOVE (10U * UINT64_C(3600000))

static void choose_config(fuzz_input_t *in, edgebat_config_t *config) {
    const uint32_t nominal = (uint32_t)fuzz_range(in, 0, 8000);
    (void)edgebat_config_default(config, (fuzz_byte(in) < 20U) ? nominal * 250U : nominal);
    if (fuzz_byte(in) < 100U) {
        config->sign = (fuzz_byte(in) & 1U) ? EDGEBAT_DISCHARGE_POSITIVE : EDGEBAT_CHARGE_POSITIVE;
        config->full_mV = (int16_t)((fuzz_byte(in) < 30U) ? 0 : fuzz_range(in, 3690, 4300));
        config->empty_mV = (int16_t)fuzz_range(in, -1, 3300);
        config->rated_cycles = (uint16_t)fuzz_range(in, 0, 2000);
        config->slew_cpct_h = (uint16_t)fuzz_range(in, 0, 65535);
        config->max_gap_ms = (uint32_t)fuzz_range(in, 0, 65535) * 2U;
        config->stuck_ppm = (uint32_t)fuzz_word(in) % 1100000U;
        config->max_current_mA = fuzz_word(in) % 2100000;
        config->min_mV = (int16_t)fuzz_range(in, -10, 4000);
        config->max_mV = (int16_t)fuzz_range(in, 3600, 10100);
        config->reference_mAh = (config->nominal_mAh * (uint32_t)fuzz_range(in, 70, 140)) / 100U;
        config->invalid_ms = (uint32_t)fuzz_range(in, 0, 60000);
        config->stale_cycles = (uint16_t)fuzz_range(in, 0, 100);
#if EDGEBAT_RESISTANCE
        config->resistance.new_uOhm = (uint32_t)fuzz_word(in) % 20000002U;
        config->resistance.step_mA = fuzz_range(in, -1, 4000);
        config->resistance.step_ms = (uint16_t)fuzz_range(in, 1, 65535);
        config->resistance.sigma_cpct = (uint16_t)fuzz_range(in, 0, 10010);
        config->resistance.is_new = fuzz_byte(in) & 1U;
        config->resistance.permille[fuzz_byte(in) & 3U] = (uint16_t)fuzz_range(in, 0, 65535);
#endif
    }
}

static void check_result(world_t *w) {
    edgebat_result_t r;
    uint8_t data[EDGEBAT_CAN_BYTES];
    fuzz_require(edgebat_result(w->battery, &r) == EDGEBAT_OK, "result fails");
    fuzz_require(r.status <= EDGEBAT_STATUS_CONFLICT && r.source <= EDGEBAT_SOURCE_REST, "codes");
    fuzz_require(r.charge <= EDGEBAT_CHARGE_RATE, "charge code");
    fuzz_require(r.points <= EDGEBAT_POINTS_MAX && r.warmup <= FAKE_CONTEXT, "counts");
    fuzz_require(r.source != EDGEBAT_SOURCE_MODEL ||
                     (r.status != EDGEBAT_STATUS_MODEL_CORRUPT && r.status != EDGEBAT_STATUS_WARMUP),
                 "the model is heard although it may not be");
    fuzz_require(r.points == 0U || r.age_cycles <= w->config->stale_cycles, "an old forecast is believed");
    fuzz_require(r.source == EDGEBAT_SOURCE_NONE || r.source == EDGEBAT_SOURCE_MODEL ||
                     r.source == EDGEBAT_SOURCE_DATASHEET || r.sigma_cpct >= 1U,
                 "somebody never errs");
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
        w->allowed -= (moved * UINT64_C(3600000) < w->allowed) ? moved * UINT64_C(3600000) : w->allowed;
    }
    /* It moves in steps: what is left of one may be ready. */
    if (r.soh_cpct != w->published) {
        w->published = r.soh_cpct;
        w->allowed = (w->allowed < ONE_MOVE) ? w->allowed : ONE_MOVE;
    }
#if EDGEBAT_RESISTANCE
    const int told = r.resistance_uOhm != UINT32_MAX;
    fuzz_require(!told || (r.resistance_uOhm <= 20000000U), "resistance");
    fuzz_require(told == (r.resistance_sigma_cpct != EDGEBAT_UNKNOWN), "resistance without a deviation");
    fuzz_require(told || (r.resistance_cpct == EDGEBAT_UNKNOWN), "growth of nothing");
    fuzz_require(r.resistance_sigma_cpct >= w->config->resistance.sigma_cpct, "sensors never err");
    counted.resistances += (uint64_t)(told && !w->told);
    w->told = told;
    (void)edgebat_can_pack(&fake_model, &r, EDGEBAT_CAN_RESISTANCE, 0U, data);
#endif
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
    if (sample->valid == 0U) {
        fuzz_require(edgebat_idle(w->battery, sample->dt_ms) == EDGEBAT_OK, "idle fails");
        w->allowed += (uint64_t)sample->dt_ms * w->config->slew_cpct_h;
    }
    tally.calls++;
    counted.samples++;
    counted.ignored += (code == EDGEBAT_IGNORED);
}

static void step(world_t *w, uint32_t most) {
    for (uint32_t i = 0; i < most; i++) {
        const int had_estimate = w->battery->evidence[0].cpct != EDGEBAT_UNKNOWN;
        const int code = edgebat_step(w->battery);
        fuzz_require(code == EDGEBAT_OK || code == EDGEBAT_BUSY, "step fails");
        tally.calls++;
        counted.inferences += (had_estimate == 0) && (w->battery->evidence[0].cpct != EDGEBAT_UNKNOWN);
        if (code == EDGEBAT_OK) {
            break;
        }
    }
}

/* A charge or discharge as in life, with faults now and then: random numbers alone never complete one. */
static void ramp(world_t *w, fuzz_input_t *in) {
    const int32_t highest = fuzz_range(in, 0, 400 * EDGEBAT_ANY_WINDOW);
    const int32_t from = fuzz_range(in, 3400, 3650 + highest), to = fuzz_range(in, 3600, 3800) + highest;
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

static void save(world_t *w, fuzz_input_t *in) {
    fuzz_part_t *const m = &w->memory;
    const int code = edgebat_state_get(w->battery, m->saved, m->saved_bytes);
    fuzz_require(edgebat_state_check(&fake_model, w->config, m->saved, m->saved_bytes) == EDGEBAT_OK,
                 "what was saved is refused");
    uint8_t *const bad = fuzz_saved(m, in, code);
    (void)fuzz_checked(m, bad, edgebat_state_check(&fake_model, w->config, bad, m->saved_bytes));
    fuzz_free(bad, 0);
}

static void restart(world_t *w, fuzz_input_t *in) {
    uint32_t length;
    uint8_t *const bytes = fuzz_restart(&w->memory, in, &length);
    const int code = edgebat_init(w->battery, &fake_model, w->config, w->memory.work, bytes, length);
    fuzz_restarted(&w->memory, bytes, code);
    w->published = w->battery->published_cpct;
    w->settled = w->battery->settled;
    w->allowed = 0;
}

/* A workshop visit: another SOH may take the place of the one before at once. */
static void serve(world_t *w, fuzz_input_t *in) {
    edgebat_use_t use = {0};
    const uint32_t what = (uint32_t)fuzz_range(in, 0, 20);
    int code;
    if ((what & 1U) != 0U) {
        code =
            edgebat_seed(w->battery, (uint16_t)fuzz_range(in, 0, 20000), (uint16_t)fuzz_range(in, 0, 12000));
    } else if ((what & 2U) != 0U) {
        fuzz_require(edgebat_use(w->battery, &use) == EDGEBAT_OK, "use fails");
        use.cycle = (uint32_t)fuzz_word(in);
        use.throughput_mAh = (uint32_t)fuzz_word(in);
        use.clock_s = (uint32_t)fuzz_word(in);
        code = edgebat_adopt(w->battery, &use);
#if EDGEBAT_RESISTANCE
    } else if (what >= 16U) {
        const uint32_t new_uOhm = (uint32_t)fuzz_word(in);
        code = edgebat_begin_resistance(w->battery, new_uOhm);
        fuzz_require((code == EDGEBAT_OK) == (new_uOhm <= 20000000U), "begin");
#endif
    } else {
        code = edgebat_reset(w->battery, what);
        fuzz_require((code == EDGEBAT_OK) == ((what != 0U) && (what <= EDGEBAT_RESET_MODULE)), "reset");
    }
    fuzz_require(code == EDGEBAT_OK || code == EDGEBAT_ERR_CONFIG, "service");
    tally.calls++;
    step(w, 8U);
    w->published = w->battery->published_cpct;
    w->settled = w->battery->settled;
    w->allowed = ONE_MOVE;
}

/* Steps of the current, more than enough to tell a resistance, or none at all. */
static void pulses(world_t *w, fuzz_input_t *in) {
    const int32_t one_c = (int32_t)w->config->nominal_mAh;
    const int32_t mA = one_c * fuzz_range(in, -5, 5);
    const int32_t mV = fuzz_range(in, -1200, 1200);
    const uint32_t dt = (uint32_t)fuzz_range(in, 1, 2500);
    const int16_t ddegC = (int16_t)fuzz_range(in, -300, 700);
    for (uint32_t i = 0; i < 2000U; i++) {
        const int on = (i & 1U) != 0U;
        const edgebat_sample_t sample = {on ? mA : 0, dt, (int16_t)(on ? 3700 + mV : 3700), ddegC,
                                         EDGEBAT_VALID_ALL};
        push(w, &sample);
        step(w, 1U);
    }
}

/* Rests of half an hour and more, at any voltage, over a table of open-circuit voltages. */
static void repose(world_t *w, fuzz_input_t *in) {
    static const int16_t mV[] = {3300, 3500, 3560, 3600, 3603, 3650, 3700, 3900, 4000};
    static const edgebat_ocv_t table = EDGEBAT_OCV(mV, 9U, 2U, 100U, 25U, 50U, 9000U);
    const int32_t cell_mV = fuzz_range(in, 3200, 4100);
    fuzz_require(edgebat_use_ocv(w->battery, &table) == EDGEBAT_OK, "table");
    for (uint32_t i = 0; i < 40U; i++) {
        const edgebat_sample_t sample = {0, (i == 20U) ? (uint32_t)fuzz_word(in) : 59000U, (int16_t)cell_mV,
                                         250, EDGEBAT_VALID_ALL};
        push(w, &sample);
        step(w, 1U);
    }
    counted.rests += (w->battery->evidence[4].cpct != EDGEBAT_UNKNOWN);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    fuzz_input_t in = {data, size};
    world_t w = {0};
    w.memory = fuzz_part(sizeof(edgebat_t), FAKE_WORK_BYTES, FAKE_SAVED_BYTES);
    w.battery = w.memory.part;
    w.config = fuzz_memory(NULL, sizeof(edgebat_config_t), 0);
    choose_config(&in, w.config);
    const int begun = edgebat_init(w.battery, &fake_model, w.config, w.memory.work, NULL, 0);
    fuzz_require(begun == EDGEBAT_OK || begun == EDGEBAT_ERR_CONFIG, "init");
    w.published = EDGEBAT_UNKNOWN;
    tally.calls++;
    counted.failed += (begun != EDGEBAT_OK);
    while (begun == EDGEBAT_OK && in.left > 0) {
        edgebat_sample_t sample = {0, 0, 0, 0, 0};
        switch (fuzz_byte(&in) % (11U + EDGEBAT_RESISTANCE)) {
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
            save(&w, &in);
            break;
        case 7:
            restart(&w, &in);
            break;
        case 8:
            serve(&w, &in);
            break;
        case 9:
            repose(&w, &in);
            break;
        case 11:
            pulses(&w, &in);
            break;
        default:
            fake_selftest_code = (fuzz_byte(&in) < 20U) ? EDGEBAT_ERR_GOLDEN : EDGEBAT_OK;
            (void)edgebat_selftest(w.battery);
            tally.calls++;
            break;
        }
        check_result(&w);
    }
    fuzz_part_free(&w.memory);
    fuzz_free(w.config, 0);
    return 0;
}

#if defined(FUZZ_RANDOM)
static void report(void) {
    (void)printf("fuzz_bms: %llu samples (%llu ignored), %llu first estimates, %llu capacities from rests, "
                 "%llu resistances, %llu configurations refused\n",
                 (unsigned long long)counted.samples, (unsigned long long)counted.ignored,
                 (unsigned long long)counted.inferences, (unsigned long long)counted.rests,
                 (unsigned long long)counted.resistances, (unsigned long long)counted.failed);
}
#endif
