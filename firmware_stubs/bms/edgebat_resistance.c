/*
 * edgebat_resistance.c - the resistance that steps of the current tell. edgebat/bms/resistance.py is the same in Python.
 *
 * A step is a change of the current between two samples; the voltage that comes with it is the resistance of so short a
 * time, most of it ohmic. Steps of a charger and of a load count, up and down, at the end of a rest too; one for every
 * percent of nominal that flows, so that all states of charge have their part. A single step is noise and samples that were
 * not taken at the same moment: the median of five is one measurement, and their average is what is published.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "edgebat/edgebat_resistance.h"

#include "edgebat_state.h"

#include <stddef.h>

#if EDGEBAT_RESISTANCE

/* More is a broken wire. */
#define MOST_STEP_MV 1000U

/* mV over mA, times 100 to be parts of 10 nOhm, and 1000 for the permille of a temperature. */
#define PER_OHM UINT64_C(100000000000)

/* A percent of nominal, in steps of edgebat_bms_use. */
#define APART_PART 932U

/* So many medians are the average, and the resistance of a new cell; then each counts as much. */
#define USUAL 64U

/* Fewer say nothing. */
#define LEAST_SEEN 8U

/* What a median's distance is taken to be until it is known, 0.01 %; it is no more than all. */
#define FIRST_SPREAD 1000U

/* Of a normal distribution the deviation is 5/4 of the mean distance; medians that follow one another are alike, so four
 * count as one: 4 * 25 / 16. */
#define SPREAD_SQUARES 25U
#define SPREAD_PARTS 4U

#define POINT_25 4U
#define FIRST_DDEGC (-150)
#define DDEGC_APART 100U

#define UOHM 100U /* of 10 nOhm */
#define MOST_OHM (EDGEBAT_MOST_UOHM * UOHM)

void edgebat_bms_default_resistance(edgebat_config_t *config) {
    /* 25 kJ/mol, between the electrolyte (17.1) and the charge transfer (43.6 and 53.4) of Ecker et al., J. Electrochem.
     * Soc. 162 (2015) A1836; far from 25 degC that is too uncertain. */
    static const uint16_t permille[EDGEBAT_RESISTANCE_POINTS] = {0U, 0U, 2065U, 1419U, 1000U, 721U, 530U, 0U};
    edgebat_resistance_config_t *const resistance = &config->resistance;
    const uint32_t step_mA = config->nominal_mAh / 5U;
    resistance->new_uOhm = 0U;
    resistance->step_mA = (int32_t)((step_mA > 0U) ? step_mA : 1U);
    resistance->step_ms = 2000U;
    resistance->sigma_cpct = 800U;
    resistance->is_new = 0U;
    for (uint32_t i = 0U; i < EDGEBAT_RESISTANCE_POINTS; i++) {
        resistance->permille[i] = permille[i];
    }
}

int edgebat_bms_resistance_is_sound(const edgebat_config_t *config) {
    const edgebat_resistance_config_t *const resistance = &config->resistance;
    return (resistance->new_uOhm <= EDGEBAT_MOST_UOHM) && (resistance->step_mA >= 1) &&
           (resistance->step_ms >= 1U) && (resistance->sigma_cpct <= EDGEBAT_HUNDRED_PERCENT) &&
           (resistance->is_new <= 1U) &&
           ((resistance->permille[POINT_25] == 1000U) || (resistance->permille[POINT_25] == 0U));
}

static uint32_t unsigned_of(int32_t value) {
    return (uint32_t)((value < 0) ? -value : value);
}

/* Resistance at this temperature over that at 25 degC, permille, between two points; 0: nobody knows. */
static uint32_t permille_at(const edgebat_config_t *config, int32_t ddegC) {
    const uint16_t *const permille = config->resistance.permille;
    const uint32_t above = (ddegC > FIRST_DDEGC) ? (uint32_t)(ddegC - FIRST_DDEGC) : 0U;
    const uint32_t i = above / DDEGC_APART;
    const uint32_t part = above % DDEGC_APART;
    uint32_t found = 0U;
    if ((ddegC < FIRST_DDEGC) || (i >= EDGEBAT_RESISTANCE_POINTS)) {
        /* beyond all points */
    } else if (part == 0U) {
        found = permille[i];
    } else if (((i + 1U) < EDGEBAT_RESISTANCE_POINTS) && (permille[i] != 0U) && (permille[i + 1U] != 0U)) {
        found = ((permille[i] * (DDEGC_APART - part)) + (permille[i + 1U] * part)) / DDEGC_APART;
    } else {
        /* one of the two is not known */
    }
    return found;
}

/* A value nearer to another one by its share. */
static uint32_t pulled(uint32_t here, uint32_t there, uint32_t share) {
    return (here < there) ? (here + ((there - here) / share)) : (here - ((here - there) / share));
}

static EDGEBAT_SELDOM void take_median(edgebat_t *battery, uint32_t median) {
    const uint32_t shares = (battery->ohm_seen < USUAL) ? ((uint32_t)battery->ohm_seen + 1U) : USUAL;
    if (battery->ohm_seen == 0U) {
        battery->ohm = median;
        battery->ohm_spread = (uint16_t)FIRST_SPREAD;
    } else {
        const uint32_t here = battery->ohm;
        const uint32_t off = (here < median) ? (median - here) : (here - median);
        const uint64_t apart = edgebat_bms_quotient((uint64_t)off * EDGEBAT_HUNDRED_PERCENT, here);
        const uint32_t spread = (apart > EDGEBAT_HUNDRED_PERCENT) ? EDGEBAT_HUNDRED_PERCENT : (uint32_t)apart;
        battery->ohm_spread = (uint16_t)pulled(battery->ohm_spread, spread, shares);
        battery->ohm = pulled(here, median, shares);
    }
    if (battery->ohm_seen < USUAL) {
        battery->ohm_seen++;
        if (battery->ohm_seen == USUAL) {
            if ((battery->ohm_used == EDGEBAT_OHM_NEW) || ((battery->ohm_used == EDGEBAT_OHM_BY_CONFIG) &&
                                                           (battery->config->resistance.is_new != 0U))) {
                battery->ohm_new = battery->ohm;
            }
            battery->ohm_used = EDGEBAT_OHM_USED;
            battery->revision++;
        }
    }
}

/* One more of five; they are kept in order, so that the middle one is the median. */
static EDGEBAT_SELDOM void take_step(edgebat_t *battery, int32_t ohm) {
    uint32_t i = battery->ohm_count;
    while ((i > 0U) && (battery->ohm_steps[i - 1U] > ohm)) {
        battery->ohm_steps[i] = battery->ohm_steps[i - 1U];
        i--;
    }
    battery->ohm_steps[i] = ohm;
    battery->ohm_count++;
    battery->ohm_use = edgebat_bms_use(battery);
    if (battery->ohm_count == EDGEBAT_OHM_STEPS) {
        const int32_t median = battery->ohm_steps[EDGEBAT_OHM_STEPS / 2U];
        battery->ohm_count = 0U;
        if (median > 0) { /* else the current has the wrong sign, or the voltage is stuck */
            take_median(battery, (uint32_t)median);
        }
    }
}

/* The current has changed by so much, up or down: what that says, if it says anything. */
static EDGEBAT_SELDOM void judge_step(edgebat_t *battery, const edgebat_sample_t *sample, uint32_t step_mA,
                                      uint8_t falls) {
    const int32_t moved_mV = (int32_t)sample->cell_mV - battery->last_mV;
    const uint32_t permille = (edgebat_bms_has_temperature(sample) != 0U)
                                  ? permille_at(battery->config, sample->temperature_ddegC)
                                  : 0U;
    if ((permille != 0U) && (unsigned_of(moved_mV) <= MOST_STEP_MV)) {
        const uint64_t ohm =
            edgebat_bms_quotient(unsigned_of(moved_mV) * PER_OHM, (uint64_t)step_mA * permille);
        if (ohm <= MOST_OHM) {
            const int32_t magnitude = (int32_t)ohm;
            take_step(battery, ((moved_mV < 0) == (falls != 0U)) ? magnitude : -magnitude);
        }
    }
}

void edgebat_bms_follow_resistance(edgebat_t *battery, const edgebat_sample_t *sample, int32_t charging_mA,
                                   uint32_t dt_ms) {
    const edgebat_resistance_config_t *const resistance = &battery->config->resistance;
    const int32_t rise_mA = charging_mA - battery->last_mA;
    const uint32_t step_mA = unsigned_of(rise_mA);
    if ((step_mA >= (uint32_t)resistance->step_mA) && (dt_ms <= resistance->step_ms)) {
        const uint16_t used = (uint16_t)(edgebat_bms_use(battery) - battery->ohm_use);
        const uint8_t first = ((battery->ohm_seen == 0U) && (battery->ohm_count == 0U)) ? 1U : 0U;
        if ((first != 0U) || (used >= (battery->config->nominal_mAh / APART_PART))) {
            judge_step(battery, sample, step_mA, (uint8_t)((rise_mA < 0) ? 1U : 0U));
        }
    }
}

/* What a new cell has: measured or given by service, else by the configuration, 10 nOhm; 0: not known. */
static uint32_t when_new(const edgebat_t *battery) {
    return (battery->ohm_new != 0U) ? battery->ohm_new : (battery->config->resistance.new_uOhm * UOHM);
}

void edgebat_bms_tell_resistance(const edgebat_t *battery, edgebat_result_t *result) {
    const uint32_t new_ohm = when_new(battery);
    result->resistance_uOhm = UINT32_MAX;
    result->resistance_sigma_cpct = EDGEBAT_UNKNOWN;
    result->resistance_cpct = EDGEBAT_UNKNOWN;
    if (battery->ohm_seen >= LEAST_SEEN) {
        const uint32_t spread = battery->ohm_spread;
        const uint32_t sensors = battery->config->resistance.sigma_cpct;
        const uint32_t drawn =
            (spread * spread * SPREAD_SQUARES) / (SPREAD_PARTS * (uint32_t)battery->ohm_seen);
        result->resistance_uOhm = (battery->ohm + (UOHM / 2U)) / UOHM;
        result->resistance_sigma_cpct = (uint16_t)edgebat_bms_square_root(drawn + (sensors * sensors));
        if (new_ohm != 0U) {
            const uint64_t cpct =
                edgebat_bms_ratio((uint64_t)battery->ohm * EDGEBAT_HUNDRED_PERCENT, new_ohm);
            result->resistance_cpct = (uint16_t)((cpct < EDGEBAT_UNKNOWN) ? cpct : (EDGEBAT_UNKNOWN - 1U));
        }
    }
}

void edgebat_bms_begin_resistance(edgebat_t *battery, uint32_t new_uOhm, uint8_t used) {
    battery->ohm = 0U;
    battery->ohm_new = new_uOhm * UOHM;
    battery->ohm_spread = 0U;
    battery->ohm_seen = 0U;
    battery->ohm_count = 0U;
    battery->ohm_used = used;
}

uint32_t edgebat_bms_new_uOhm(const edgebat_t *battery) {
    return battery->ohm_new / UOHM;
}

EDGEBAT_SELDOM int edgebat_begin_resistance(edgebat_t *battery, uint32_t new_uOhm) {
    if ((battery == NULL) || (battery->model == NULL)) {
        EDGEBAT_ASSERT(0);
        return EDGEBAT_ERR_NULL;
    }
    if (new_uOhm > EDGEBAT_MOST_UOHM) {
        return EDGEBAT_ERR_CONFIG;
    }
    edgebat_bms_begin_resistance(battery, new_uOhm, (new_uOhm != 0U) ? EDGEBAT_OHM_USED : EDGEBAT_OHM_NEW);
    battery->revision++;
    return EDGEBAT_OK;
}

uint8_t edgebat_state_resistance_is_possible(const uint8_t *saved) {
    const uint8_t *const at = &saved[EDGEBAT_STATE_RESISTANCE];
    const uint32_t ohm = edgebat_state_32(at, 0U);
    uint8_t sound = 1U;
    for (uint32_t i = 0U; i < EDGEBAT_OHM_STEPS; i++) {
        const uint32_t step = edgebat_state_32(at, 12U + (4U * i));
        const uint32_t magnitude = ((step >> 31U) != 0U) ? (~step + 1U) : step;
        sound = (magnitude <= MOST_OHM) ? sound : 0U;
    }
    return ((sound != 0U) && (edgebat_state_16(at, 34U) < EDGEBAT_OHM_STEPS) && (ohm <= MOST_OHM) &&
            (edgebat_state_32(at, 4U) <= MOST_OHM) && ((ohm != 0U) == (at[10] != 0U)) &&
            (edgebat_state_16(at, 8U) <= EDGEBAT_HUNDRED_PERCENT) && (at[10] <= USUAL) &&
            (at[11] <= EDGEBAT_OHM_NEW))
               ? 1U
               : 0U;
}

#endif
