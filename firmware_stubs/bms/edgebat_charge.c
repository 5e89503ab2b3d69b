/*
 * edgebat_charge.c - from samples to inputs of the model.
 *
 * A voltage level is reached at the first sample at or above it, and the charge there is interpolated between
 * that sample and the one before: noise that makes the voltage dip below the level again is ignored, and its
 * small bias is the same for every level, so it leaves the differences. edgebat/tasks/health/charge_counter.py is
 * the same in Python.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "edgebat_bms.h"

#include <stddef.h>

static int plausible(const edgebat_config_t *config, const edgebat_sample_t *sample) {
    return ((sample->valid & EDGEBAT_VALID_VOLTAGE) != 0U) &&
           ((sample->valid & EDGEBAT_VALID_CURRENT) != 0U) && (sample->cell_mV >= config->min_mV) &&
           (sample->cell_mV <= config->max_mV) && (sample->current_mA >= -config->max_current_mA) &&
           (sample->current_mA <= config->max_current_mA);
}

/* The charge under way gives nothing, for this reason. */
static void give_up(edgebat_t *battery, edgebat_charge_t reason) {
    battery->phase = EDGEBAT_PHASE_OVER;
    battery->charge_ended = (uint8_t)reason;
}

/* No charge flows in any more. */
static void end_charge(edgebat_t *battery, edgebat_charge_t inside) {
    if (battery->phase == EDGEBAT_PHASE_INSIDE) {
        battery->charge_ended = (uint8_t)inside;
    } else if (battery->phase == EDGEBAT_PHASE_BELOW) {
        battery->charge_ended = (uint8_t)EDGEBAT_CHARGE_ENDS_BELOW;
    } else {
        /* it has ended before */
    }
    battery->phase = EDGEBAT_PHASE_NONE;
}

/* A twentieth of the nominal capacity makes a discharge, and a charge, of a cycle. */
static uint64_t cycle_part(const edgebat_t *battery) {
    return (uint64_t)battery->config->nominal_mAh * (EDGEBAT_PER_MAH / 20U);
}

/* The first sample of a charge. */
static void begin_charge(edgebat_t *battery, int16_t cell_mV) {
    battery->due = (uint8_t)((battery->discharged >= cycle_part(battery)) ? 1U : 0U);
    battery->charge = 0;
    battery->level = 0U;
    battery->inside = 0U;
    if ((int32_t)cell_mV * 1000 >= battery->model->level_uV[0]) {
        /* What was broken off inside the window and goes on there keeps its reason. */
        const uint8_t ended = battery->charge_ended;
        uint8_t resumed = 0U;
        if ((battery->due == 0U) &&
            ((ended == (uint8_t)EDGEBAT_CHARGE_INTERRUPTED) || (ended == (uint8_t)EDGEBAT_CHARGE_GAP))) {
            resumed = 1U;
        }
        give_up(battery, (resumed != 0U) ? (edgebat_charge_t)ended : EDGEBAT_CHARGE_STARTS_ABOVE);
    } else if ((battery->due == 0U) && (battery->cycle_used != 0U)) {
        /* A cell that relaxes below the window after a pause has lost part of what belongs to the first
         * level. */
        give_up(battery, EDGEBAT_CHARGE_REPEATED);
    } else {
        battery->phase = EDGEBAT_PHASE_BELOW;
    }
}

/* Short pulses of charge, as from braking, make no cycle. */
static void count_cycle(edgebat_t *battery) {
    if (battery->due != 0U) {
        battery->due = 0U;
        battery->discharged = 0U;
        battery->cycle_used = 0U;
        battery->cycle++;
        battery->revision++;
    }
}

static void track_extremes(edgebat_t *battery, const edgebat_sample_t *sample, int32_t charging_mA,
                           int64_t part) {
    if (battery->inside == 0U) {
        battery->smooth_mA = 8 * battery->last_mA; /* so that a ramp into the window is seen */
        battery->least_mA = battery->last_mA;
        battery->most_mA = battery->last_mA;
        battery->top_mV = sample->cell_mV;
        battery->moved_charge = battery->charge;
        battery->least_ddegC = INT16_MAX;
        battery->most_ddegC = INT16_MIN;
    }
    /* Sensors are noisier than chargers: extremes of an average over some eight samples. */
    battery->smooth_mA += charging_mA - (battery->smooth_mA / 8);
    const int32_t smooth = battery->smooth_mA / 8;
    battery->least_mA = (smooth < battery->least_mA) ? smooth : battery->least_mA;
    battery->most_mA = (smooth > battery->most_mA) ? smooth : battery->most_mA;
    battery->top_mV = (sample->cell_mV > battery->top_mV) ? sample->cell_mV : battery->top_mV;
    if (sample->cell_mV != battery->last_mV) {
        battery->moved_charge = battery->charge;
    }
    if ((sample->valid & EDGEBAT_VALID_TEMPERATURE) != 0U) {
        const int16_t ddegC = sample->temperature_ddegC;
        battery->least_ddegC = (ddegC < battery->least_ddegC) ? ddegC : battery->least_ddegC;
        battery->most_ddegC = (ddegC > battery->most_ddegC) ? ddegC : battery->most_ddegC;
    }
    if ((part > 0) && (battery->inside < UINT16_MAX)) {
        battery->inside++;
    }
}

/* Whether the temperatures of a charge are not known to the model; a model may know none. */
static uint8_t is_cold(const edgebat_t *battery) {
    const edgebat_model_t *const model = battery->model;
    const uint8_t limited = ((model->min_ddegC != INT16_MIN) || (model->max_ddegC != INT16_MAX)) ? 1U : 0U;
    const uint8_t measured = (battery->least_ddegC <= battery->most_ddegC) ? 1U : 0U;
    const uint8_t within =
        ((battery->least_ddegC >= model->min_ddegC) && (battery->most_ddegC <= model->max_ddegC)) ? 1U : 0U;
    return (uint8_t)(((limited != 0U) && ((measured == 0U) || (within == 0U))) ? 1U : 0U);
}

/* The last level is reached. */
static void complete(edgebat_t *battery) {
    if (battery->inside < battery->model->increments) {
        give_up(battery, EDGEBAT_CHARGE_SPARSE);
    } else if (((int64_t)battery->most_mA - battery->least_mA) * 20 >
               (int64_t)battery->most_mA + battery->least_mA) {
        give_up(battery, EDGEBAT_CHARGE_NOT_CONSTANT);
    } else {
        give_up(battery, EDGEBAT_CHARGE_OK);
        battery->row_ready = 1U;
        battery->row_cold = is_cold(battery);
    }
}

/* All levels between the sample before and this one; `part` is the charge between the two. */
static void cross_levels(edgebat_t *battery, int16_t cell_mV, int64_t part) {
    const edgebat_model_t *const model = battery->model;
    const int32_t now_uV = (int32_t)cell_mV * 1000;
    const int32_t before_uV = (int32_t)battery->last_mV * 1000;
    const uint64_t nominal = battery->config->nominal_mAh;
    int32_t *const row = edgebat_bms_row(battery);
    /* A sample that jumps over many levels says nothing about what each of them took. */
    const uint32_t most = (model->increments > 12U) ? (model->increments / 4U) : 2U;
    if ((battery->level + most <= model->increments) && (now_uV >= model->level_uV[battery->level + most])) {
        give_up(battery, EDGEBAT_CHARGE_SPARSE);
    }
    while ((battery->phase == EDGEBAT_PHASE_INSIDE) && (now_uV >= model->level_uV[battery->level])) {
        /* First crossings: the sample before lies below this level. */
        const uint64_t rise = (uint32_t)(now_uV - before_uV);
        const uint64_t up_to = (uint32_t)(model->level_uV[battery->level] - before_uV);
        const int64_t here =
            (battery->charge - part) + (int64_t)((((uint64_t)part * up_to) + (rise / 2U)) / rise);
        if (battery->level != 0U) {
            const uint64_t taken = (uint64_t)(here - battery->level_charge);
            const uint64_t ppm = ((taken * 5U) + (18U * nominal)) / (36U * nominal);
            row[battery->level - 1U] = (ppm > (uint64_t)INT32_MAX) ? INT32_MAX : (int32_t)ppm;
        }
        battery->level_charge = here;
        if (battery->level == model->increments) {
            complete(battery);
        } else {
            battery->level++;
        }
    }
}

/* The voltage has reached the window. */
static void enter_window(edgebat_t *battery) {
    count_cycle(battery);
    battery->cycle_used = 1U;
    if (battery->row_ready != 0U) {
        /* A finished row that nobody has taken over yet must not be written over. */
        give_up(battery, EDGEBAT_CHARGE_REPEATED);
    } else {
        battery->phase = EDGEBAT_PHASE_INSIDE;
    }
}

static void follow_charge(edgebat_t *battery, const edgebat_sample_t *sample, int32_t charging_mA,
                          int64_t part) {
    const edgebat_config_t *const config = battery->config;
    const uint8_t reached = ((int32_t)sample->cell_mV * 1000 >= battery->model->level_uV[0]) ? 1U : 0U;
    battery->charge += part;
    if ((uint64_t)battery->charge >= cycle_part(battery)) {
        count_cycle(battery);
    }
    if ((battery->phase == EDGEBAT_PHASE_BELOW) && (reached != 0U)) {
        enter_window(battery);
    }
    if (battery->phase == EDGEBAT_PHASE_INSIDE) {
        if (reached != 0U) {
            track_extremes(battery, sample, charging_mA, part);
        }
        if ((int32_t)sample->cell_mV < (int32_t)battery->top_mV - config->max_drop_mV) {
            give_up(battery, EDGEBAT_CHARGE_IMPLAUSIBLE);
        } else if (((uint64_t)(battery->charge - battery->moved_charge) * 5U) >
                   (((uint64_t)config->nominal_mAh * config->stuck_ppm) * 36U)) {
            give_up(battery, EDGEBAT_CHARGE_STUCK);
        } else {
            cross_levels(battery, sample->cell_mV, part);
        }
    }
}

int edgebat_push(edgebat_t *battery, const edgebat_sample_t *sample) {
    if ((battery == NULL) || (sample == NULL) || (battery->model == NULL)) {
        EDGEBAT_ASSERT(0);
        return EDGEBAT_ERR_NULL;
    }
    const edgebat_config_t *const config = battery->config;
    const uint32_t before_ms = battery->hole_ms;
    battery->hole_ms = (sample->dt_ms > UINT32_MAX - before_ms) ? UINT32_MAX : (before_ms + sample->dt_ms);
    /* A huge step is a clock that jumped, not time that passed. */
    const uint32_t passed_ms = (sample->dt_ms > config->max_gap_ms) ? config->max_gap_ms : sample->dt_ms;
    battery->elapsed_ms =
        (passed_ms > UINT32_MAX - battery->elapsed_ms) ? UINT32_MAX : (battery->elapsed_ms + passed_ms);
    if (plausible(config, sample) == 0) {
        return EDGEBAT_IGNORED;
    }

    const int32_t charging_mA =
        (config->sign == (uint8_t)EDGEBAT_DISCHARGE_POSITIVE) ? -sample->current_mA : sample->current_mA;
    const uint32_t dt_ms = battery->hole_ms;
    battery->hole_ms = 0U;
    int64_t part = 0;
    if ((battery->sampled == 0U) || (dt_ms > config->max_gap_ms)) {
        end_charge(battery, EDGEBAT_CHARGE_GAP);
        battery->anchor = EDGEBAT_ANCHOR_NONE;
    } else {
        part = ((int64_t)battery->last_mA + charging_mA) * (int64_t)dt_ms;
        edgebat_bms_count(battery, part, dt_ms);
    }

    /* Below a fiftieth of the 1 h rate a cell rests. */
    if ((int64_t)charging_mA * 50 <= (int64_t)config->nominal_mAh) {
        end_charge(battery, EDGEBAT_CHARGE_INTERRUPTED);
    } else if (battery->phase == EDGEBAT_PHASE_NONE) {
        begin_charge(battery, sample->cell_mV);
    } else {
        follow_charge(battery, sample, charging_mA, part);
    }
    edgebat_bms_find_anchor(battery, sample->cell_mV, charging_mA, dt_ms);
    battery->last_mA = charging_mA;
    battery->last_mV = sample->cell_mV;
    battery->sampled = 1U;
    return EDGEBAT_OK;
}
