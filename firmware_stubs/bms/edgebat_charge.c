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

/* Of the one-hour current: 5 % of a charge at 0.5C, either way. */
#define SPREAD_PART 20U

/* Pulses, as from braking, are no charges that anybody asks about. */
static EDGEBAT_APART uint8_t is_pulse(const edgebat_t *battery) {
    return ((uint64_t)battery->charge < edgebat_bms_part(battery, EDGEBAT_PULSE_PART)) ? 1U : 0U;
}

void edgebat_bms_give_up(edgebat_t *battery, edgebat_charge_t reason) {
    const uint8_t told = edgebat_bms_told(battery, reason);
    if (is_pulse(battery) == 0U) {
        if ((battery->phase == EDGEBAT_PHASE_INSIDE) && (battery->failed < UINT8_MAX) &&
            (edgebat_bms_is_failure(battery, reason) != 0U)) {
            battery->failed++;
        }
        battery->charge_ended = told;
    }
    battery->phase = EDGEBAT_PHASE_OVER;
    battery->reason = told;
}

/* No charge flows in any more. */
void edgebat_bms_end_charge(edgebat_t *battery, edgebat_charge_t inside) {
    if (battery->phase == EDGEBAT_PHASE_INSIDE) {
        edgebat_bms_give_up(battery, inside);
    } else if ((battery->phase == EDGEBAT_PHASE_BELOW) && (edgebat_bms_is_told(battery) == 0U)) {
        edgebat_bms_give_up(battery, EDGEBAT_CHARGE_ENDS_BELOW);
    } else {
        /* it has ended before */
    }
    battery->phase = EDGEBAT_PHASE_NONE;
}

/* The first sample of a charge. */
void edgebat_bms_begin_charge(edgebat_t *battery, int16_t cell_mV) {
    battery->charge = 0;
    battery->level = 0U;
    battery->inside = 0U;
    battery->phase = EDGEBAT_PHASE_BELOW;
    if (edgebat_bms_choose_window(battery, cell_mV) == 0U) {
        /* What was broken off inside the window and goes on there keeps its reason. */
        const uint8_t ended = battery->charge_ended;
        uint8_t resumed = 0U;
        if ((battery->above != 0U) &&
            ((ended == (uint8_t)EDGEBAT_CHARGE_INTERRUPTED) || (ended == (uint8_t)EDGEBAT_CHARGE_GAP))) {
            resumed = 1U;
        }
        edgebat_bms_give_up(battery, (resumed != 0U) ? (edgebat_charge_t)ended : EDGEBAT_CHARGE_STARTS_ABOVE);
    }
}

static void track_temperature(edgebat_t *battery, const edgebat_sample_t *sample) {
    if (battery->inside == 0U) {
        battery->sum_ddegC = 0;
        battery->temperatures = 0U;
    }
    if ((edgebat_bms_has_temperature(sample) != 0U) && (battery->temperatures < UINT16_MAX)) {
        battery->sum_ddegC += sample->temperature_ddegC;
        battery->temperatures++;
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
    }
    track_temperature(battery, sample);
    /* Sensors are noisier than chargers: extremes of an average over some eight samples. */
    battery->smooth_mA += charging_mA - (battery->smooth_mA / 8);
    const int32_t smooth = battery->smooth_mA / 8;
    battery->least_mA = (smooth < battery->least_mA) ? smooth : battery->least_mA;
    battery->most_mA = (smooth > battery->most_mA) ? smooth : battery->most_mA;
    battery->top_mV = (sample->cell_mV > battery->top_mV) ? sample->cell_mV : battery->top_mV;
    if (sample->cell_mV != battery->last_mV) {
        battery->moved_charge = battery->charge;
    }
    if ((part > 0) && (battery->inside < UINT16_MAX)) {
        battery->inside++;
    }
}

/* Whether the model does not know the temperature of a charge: its mean, so that one wrong reading does not
 * matter; else the last that there was. A model may know no temperatures, and a battery may have no sensor. */
static void judge_temperature(edgebat_t *battery) {
    const edgebat_model_t *const model = battery->model;
    battery->row_cold = 0U;
    battery->row_blind = 0U;
    if ((model->min_ddegC != INT16_MIN) || (model->max_ddegC != INT16_MAX)) {
        int32_t ddegC = battery->last_ddegC;
        if (battery->temperatures != 0U) {
            ddegC = battery->sum_ddegC / (int32_t)battery->temperatures;
        } else {
            battery->row_blind = 1U;
        }
        battery->row_cold =
            ((ddegC != INT16_MIN) && ((ddegC < model->min_ddegC) || (ddegC > model->max_ddegC))) ? 1U : 0U;
    }
}

/* A constant current: within 5 % of its middle, or so little that the ohmic drop hides in a window's step. */
static EDGEBAT_SELDOM int is_constant(const edgebat_t *battery) {
    const uint32_t least = (uint32_t)battery->least_mA; /* of a charge, so both are above 0 */
    const uint32_t most = (uint32_t)battery->most_mA;
    const uint32_t spread = (most - least) * SPREAD_PART;
    return (spread <= (most + least)) || (spread <= battery->config->nominal_mAh);
}

/* The last level is reached. */
static EDGEBAT_APART void complete(edgebat_t *battery) {
    const edgebat_model_t *const model = battery->model;
    const int32_t rate_mC = edgebat_bms_rate_mC(battery);
    if ((battery->inside < model->increments) || (is_pulse(battery) != 0U)) {
        edgebat_bms_give_up(battery, EDGEBAT_CHARGE_SPARSE);
    } else if (is_constant(battery) == 0) {
        edgebat_bms_give_up(battery, EDGEBAT_CHARGE_NOT_CONSTANT);
    } else if (edgebat_bms_knows_rate(battery, rate_mC) == 0U) {
        edgebat_bms_give_up(battery, EDGEBAT_CHARGE_RATE);
    } else {
        battery->phase = EDGEBAT_PHASE_OVER;
        battery->reason = (uint8_t)EDGEBAT_CHARGE_OK;
        battery->charge_ended = (uint8_t)EDGEBAT_CHARGE_OK;
        if ((battery->cycle_used != 0U) && (battery->unseen != 0U) &&
            (edgebat_bms_goes_back(battery) != 0U)) {
            edgebat_bms_count_cycle(battery); /* the discharge between the two was */
        }
        battery->cycle_used = 1U;
        battery->row_ready = 1U;
        edgebat_bms_label_row(battery, rate_mC);
        judge_temperature(battery);
    }
}

/* The charge at the next level, which lies between the voltage before and one that is `rise` higher; `part` is the charge
 * between the two. What the level before it has taken is an increment. */
static EDGEBAT_APART void reach_level(edgebat_t *battery, uint32_t rise, uint32_t up_to, int64_t part) {
    const int64_t here = (battery->charge - part) + (int64_t)edgebat_bms_ratio((uint64_t)part * up_to, rise);
    if (battery->level != 0U) {
        const uint64_t taken = (uint64_t)(here - battery->level_charge);
        const uint64_t ppm = edgebat_bms_ratio(taken * 5U, 36U * (uint64_t)battery->config->nominal_mAh);
        edgebat_bms_row(battery)[battery->level - 1U] =
            (ppm > (uint64_t)INT32_MAX) ? INT32_MAX : (int32_t)ppm;
    }
    battery->level_charge = here;
}

/* All levels between the sample before and this one; `part` is the charge between the two. */
static EDGEBAT_SELDOM void cross_levels(edgebat_t *battery, int16_t cell_mV, int64_t part) {
    const edgebat_model_t *const model = battery->model;
    const int32_t now_uV = (int32_t)cell_mV * 1000;
    const int32_t before_uV = (int32_t)battery->last_mV * 1000;
    /* A sample that jumps over many levels says nothing about what each of them took. */
    const uint32_t most = (model->increments > 12U) ? (model->increments / 4U) : 2U;
    if ((battery->level + most <= model->increments) &&
        (now_uV >= edgebat_bms_level_uV(battery, battery->level + most))) {
        edgebat_bms_give_up(battery, EDGEBAT_CHARGE_SPARSE);
    }
    /* First crossings: the sample before lies below this level. */
    while ((battery->phase == EDGEBAT_PHASE_INSIDE) &&
           (now_uV >= edgebat_bms_level_uV(battery, battery->level)) &&
           (before_uV < edgebat_bms_level_uV(battery, battery->level))) {
        if (edgebat_bms_row_waits(battery) != 0U) {
            edgebat_bms_give_up(battery, EDGEBAT_CHARGE_REPEATED);
        } else {
            reach_level(battery, (uint32_t)(now_uV - before_uV),
                        (uint32_t)(edgebat_bms_level_uV(battery, battery->level) - before_uV), part);
            if (battery->level == model->increments) {
                complete(battery);
            } else {
                battery->level++;
            }
        }
    }
}

/* One sample in one window. */
static void follow_window(edgebat_t *battery, const edgebat_sample_t *sample, int32_t charging_mA,
                          int64_t part, uint32_t dt_ms) {
    const edgebat_config_t *const config = battery->config;
    const uint8_t reached = ((int32_t)sample->cell_mV * 1000 >= edgebat_bms_level_uV(battery, 0U)) ? 1U : 0U;
    if ((battery->phase == EDGEBAT_PHASE_BELOW) && (reached != 0U)) {
        edgebat_bms_enter_window(battery);
    }
    if (battery->phase == EDGEBAT_PHASE_INSIDE) {
        if (reached != 0U) {
            edgebat_bms_track_rate(battery, part, dt_ms);
            track_extremes(battery, sample, charging_mA, part);
        }
        if ((int32_t)sample->cell_mV < (int32_t)battery->top_mV - config->max_drop_mV) {
            edgebat_bms_give_up(battery, EDGEBAT_CHARGE_IMPLAUSIBLE);
        } else if (((uint64_t)(battery->charge - battery->moved_charge) * 5U) >
                   (((uint64_t)config->nominal_mAh * config->stuck_ppm) * 36U)) {
            edgebat_bms_give_up(battery, EDGEBAT_CHARGE_STUCK);
        } else {
            cross_levels(battery, sample->cell_mV, part);
        }
    }
}

void edgebat_bms_follow_charge(edgebat_t *battery, const edgebat_sample_t *sample, int32_t charging_mA,
                               int64_t part, uint32_t dt_ms) {
    battery->charge = edgebat_bms_sum(battery->charge, part);
    edgebat_bms_follow_lead(battery, sample->cell_mV);
    do {
        follow_window(battery, sample, charging_mA, part, dt_ms);
    } while (edgebat_bms_next_window(battery) != 0U);
    if (battery->phase == EDGEBAT_PHASE_OVER) {
        if (is_pulse(battery) == 0U) {
            battery->charge_ended = battery->reason;
        } else if (((int32_t)sample->cell_mV + battery->config->max_drop_mV) * 1000 <
                   edgebat_bms_lower_uV(battery)) {
            /* Braking went over into a charge, without a sample between. */
            edgebat_bms_begin_charge(battery, sample->cell_mV);
        } else {
            /* it may still become a charge */
        }
    }
}
