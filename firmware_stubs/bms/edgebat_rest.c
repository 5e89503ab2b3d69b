/*
 * edgebat_rest.c - the capacity that charge between two rests tells, over a table of open-circuit voltages.
 *
 * It needs no full and no empty cell, so partial charges and discharges speak as well. As gauges do, it takes
 * a voltage for an open-circuit voltage only after half an hour without current in which it moved by less than
 * 4 uV per second, or, where nobody knows how long the power was off, with a larger error if it had nearly come
 * to a halt before and is there still; leaves out the flat part of the table, where a mV is too much charge; and
 * charge that flowed too cold, too hot or too fast. edgebat/bms/rest.py is the same in Python.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "edgebat/edgebat_ocv.h"

#include "edgebat_bms.h"

#include <stddef.h>

/* Half an hour, and 250 s for every mV: 4 uV per second. */
#define REST_MS UINT32_C(1800000)
#define MS_PER_MV UINT32_C(250000)

/* A cell between these has open-circuit voltages, 0.1 degC; below 10 degC they differ from the table's by this. */
#define LEAST_DDEGC 0
#define MOST_DDEGC 500
#define COLD_MV 7U

/* More than the voltage may move in half an hour: the rest begins anew. */
#define MOST_MOVED_MV 7U

/* A voltage that has moved by no more in this time has nearly come to a halt. It is saved; if it is there still when
 * the power returns, after nobody knows how long, it may yet move by as much again. */
#define CALM_MS UINT32_C(300000)

/* After so long without power the first voltage is that of a rest, whatever was saved. */
#define OFF_MS UINT32_C(18000000)

/* Of the cell's charge must lie between two rests, 0.01 %. */
#define LEAST_APART 3500U

/* A state of charge that is less sure lies in the flat part of the table, 0.01 %. */
#define MOST_SOC_SIGMA 300U

/* What is measured now weighs a ninth at least, whatever was measured before: the cell fades. */
#define WHOLE 256U
#define LEAST_WEIGHT (WHOLE / 9U)

#define MOST_POINTS 256U
#define MOST_TABLE_SIGMA 1000U

typedef struct {
    uint32_t cpct; /* EDGEBAT_UNKNOWN: the voltage does not tell */
    uint32_t sigma;
} soc_t;

static EDGEBAT_SELDOM soc_t look_up(const edgebat_ocv_t *table, int32_t cell_mV, uint32_t more_mV) {
    soc_t soc = {EDGEBAT_UNKNOWN, 0U};
    if ((cell_mV >= table->mV[0]) && (cell_mV <= table->mV[table->points - 1U])) {
        const uint32_t parts = (uint32_t)table->points - 1U;
        uint32_t i = 0U;
        while (((i + 1U) < parts) && (cell_mV >= table->mV[i + 1U])) {
            i++;
        }
        const uint32_t rise = (uint32_t)((int32_t)table->mV[i + 1U] - table->mV[i]);
        const uint32_t up = (uint32_t)(cell_mV - table->mV[i]);
        const uint32_t sigma = ((table->sigma_mV + more_mV) * EDGEBAT_HUNDRED_PERCENT) / (rise * parts);
        if (sigma <= MOST_SOC_SIGMA) {
            soc.cpct = ((i * EDGEBAT_HUNDRED_PERCENT) + ((up * EDGEBAT_HUNDRED_PERCENT) / rise)) / parts;
            soc.sigma = sigma;
        }
    }
    return soc;
}

/* What the cells of the table held, and one of so much does not. */
static uint32_t lost_since(const edgebat_t *battery, uint32_t cpct) {
    const uint32_t held = battery->ocv->soh_cpct;
    return (cpct < held) ? (held - cpct) : 0U;
}

/* Of what all capacities by this table have in common. */
static EDGEBAT_SELDOM uint32_t table_variance(const edgebat_t *battery, uint32_t cpct) {
    const uint32_t sigma = battery->ocv->sigma_cpct;
    const uint32_t aged = (lost_since(battery, cpct) * battery->ocv->aged_percent) / 100U;
    return (sigma * sigma) + (aged * aged);
}

/* One capacity beside those before it: what each errs by itself is averaged, what they have in common stays. Two
 * that contradict each other are both believed by half, until a third has come. */
static EDGEBAT_SELDOM void average(edgebat_t *battery, uint32_t cpct, uint32_t variance) {
    const edgebat_evidence_t *const before = &battery->evidence[EDGEBAT_BY_REST];
    uint32_t mean = cpct;
    uint32_t own = variance;
    if (before->cpct != EDGEBAT_UNKNOWN) {
        const uint32_t said = before->cpct;
        const uint32_t faded = edgebat_bms_faded(battery, (uint32_t)battery->efc - before->at_efc);
        const uint32_t all = ((uint32_t)before->sigma_cpct * before->sigma_cpct) + (faded * faded);
        const uint32_t common = table_variance(battery, said);
        const uint32_t both = own + ((all > common) ? (all - common) : 0U);
        const uint32_t share = (both - own) / ((both / WHOLE) + 1U);
        const uint32_t weight = (share > LEAST_WEIGHT) ? share : LEAST_WEIGHT;
        const uint32_t apart = (cpct > said) ? (cpct - said) : (said - cpct);
        const uint32_t moved = (apart * weight) / WHOLE;
        mean = (cpct > said) ? (said + moved) : (said - moved);
        own = (own / WHOLE) * weight;
        own += (((apart * apart) / 9U) > both) ? ((apart * apart) / 4U) : 0U;
    }
    edgebat_bms_learn(battery, EDGEBAT_BY_REST, (uint16_t)mean,
                      edgebat_bms_square_root(own + table_variance(battery, mean)));
}

/* The charge since the last rest, over what it has made of the state of charge. */
static EDGEBAT_SELDOM void weigh_rests(edgebat_t *battery, const soc_t *soc, uint32_t apart) {
    const uint32_t ends = edgebat_bms_square_root((soc->sigma * soc->sigma) +
                                                  ((uint32_t)battery->ocv_sigma * battery->ocv_sigma));
    const uint32_t shown =
        (edgebat_bms_in_cpct(battery, battery->ocv_charge) * EDGEBAT_HUNDRED_PERCENT) / apart;
    const uint32_t unseen = (lost_since(battery, shown) * battery->ocv->unseen_percent) / 100U;
    const uint32_t cpct = (unseen < shown) ? (shown - unseen) : 0U;
    const uint8_t upwards = (soc->cpct > battery->ocv_cpct) ? 1U : 0U;
    const uint8_t charged = (battery->ocv_charge > 0) ? 1U : 0U;
    const uint8_t odd = ((battery->ocv_odd_ms > (battery->ocv_ms / 8U))) ? 1U : 0U;
    if ((upwards == charged) && (odd == 0U) && (edgebat_bms_is_soh(cpct) != 0U)) {
        const uint32_t by_ends = (ends * shown) / apart;
        const uint32_t by_offset =
            ((battery->ocv_ms / EDGEBAT_MS_PER_CPCT) * EDGEBAT_HUNDRED_PERCENT) / apart;
        average(battery, cpct, (by_ends * by_ends) + (by_offset * by_offset));
        battery->revision++;
    }
}

/* From here on charge is counted, if it is known where that is. */
static EDGEBAT_SELDOM void begin_rest(edgebat_t *battery, uint32_t soc_cpct, uint32_t sigma) {
    battery->ocv_cpct = (uint16_t)soc_cpct;
    battery->ocv_sigma = (uint16_t)sigma;
    battery->ocv_charge = 0;
    battery->ocv_ms = 0U;
    battery->ocv_odd_ms = 0U;
}

/* Or too hot; a battery that never had a thermometer is not asked. */
static uint8_t is_too_cold(const edgebat_t *battery) {
    return ((battery->last_ddegC != INT16_MIN) &&
            ((battery->last_ddegC < LEAST_DDEGC) || (battery->last_ddegC > MOST_DDEGC)))
               ? 1U
               : 0U;
}

/* The cell has rested long enough, or its voltage may move on by so much. What lies too close to the last rest waits
 * for more. */
static EDGEBAT_SELDOM void take_rest(edgebat_t *battery, int16_t cell_mV, uint32_t more_mV) {
    const uint32_t cold_mV = (edgebat_bms_is_cold(battery) != 0U) ? COLD_MV : 0U;
    const soc_t soc = look_up(battery->ocv, cell_mV, more_mV + cold_mV);
    if ((soc.cpct != EDGEBAT_UNKNOWN) && (is_too_cold(battery) == 0U)) {
        const uint32_t before = battery->ocv_cpct;
        const uint32_t apart = (soc.cpct > before) ? (soc.cpct - before) : (before - soc.cpct);
        const uint8_t known = (before != EDGEBAT_UNKNOWN) ? 1U : 0U;
        if ((known != 0U) && (apart >= LEAST_APART)) {
            weigh_rests(battery, &soc, apart);
        }
        if ((known == 0U) || (apart >= LEAST_APART)) {
            begin_rest(battery, soc.cpct, soc.sigma);
        }
    }
}

static uint32_t absolute(int32_t value) {
    return (uint32_t)((value < 0) ? -value : value);
}

static void count_since(edgebat_t *battery, int64_t part, uint32_t counted_ms) {
    const uint32_t nominal = battery->config->nominal_mAh;
    const uint8_t fast = (absolute(battery->last_mA) > nominal) ? 1U : 0U;
    const int64_t most = edgebat_bms_most_charge(battery);
    battery->ocv_charge = edgebat_bms_sum(battery->ocv_charge, part);
    battery->ocv_ms += counted_ms;
    battery->ocv_odd_ms += ((fast != 0U) || (is_too_cold(battery) != 0U)) ? counted_ms : 0U;
    if ((battery->ocv_charge > most) || (battery->ocv_charge < -most) ||
        (battery->ocv_ms > EDGEBAT_ANCHOR_MS)) {
        begin_rest(battery, EDGEBAT_UNKNOWN, 0U); /* a sensor drifts, or the rest was none */
    }
}

/* Whether a voltage without current is an open-circuit voltage. */
static uint8_t is_rested(const edgebat_t *battery, uint32_t moved_mV) {
    uint8_t rested = 0U;
    if (battery->rest_ms != 0U) {
        rested =
            ((battery->rested_ms >= REST_MS) && ((moved_mV * MS_PER_MV) <= battery->rested_ms)) ? 1U : 0U;
    } else if (battery->sampled == 0U) {
        rested = (battery->rested_ms >= OFF_MS) ? 1U : 0U;
    } else {
        /* current has flowed up to now */
    }
    return rested;
}

/* After a sample was counted, before its rest is: `rest_ms` is that of the sample before. */
void edgebat_follow_rest(edgebat_t *battery, int16_t cell_mV, int64_t part, uint32_t counted_ms) {
    const uint32_t moved_mV = absolute((int32_t)cell_mV - battery->rested_mV);
    const uint32_t most_mA = battery->config->nominal_mAh / EDGEBAT_REST_PART;
    if (battery->ocv_cpct != EDGEBAT_UNKNOWN) {
        count_since(battery, part, counted_ms);
    }
    if (absolute(battery->last_mA) <= most_mA) {
        const uint8_t rested = is_rested(battery, moved_mV);
        if (rested != 0U) {
            take_rest(battery, cell_mV, 0U);
            battery->rested_ms = 0U;
        } else if ((battery->sampled == 0U) && (battery->rest_ms == EDGEBAT_CALM) &&
                   (moved_mV <= MOST_MOVED_MV)) {
            take_rest(battery, cell_mV, MOST_MOVED_MV);
        } else {
            /* not yet */
        }
    }
    if ((battery->rest_ms == 0U) || (battery->rested_ms == 0U) || (moved_mV > MOST_MOVED_MV)) {
        battery->rested_ms = 0U;
        battery->rested_mV = cell_mV;
    } else if ((battery->rest_ms == EDGEBAT_PARKED_MS) && (battery->rested_ms >= CALM_MS) &&
               ((battery->parked != 0U) || (battery->ocv_cpct == EDGEBAT_UNKNOWN))) {
        battery->rest_ms = EDGEBAT_CALM;
        battery->revision++;
    } else {
        /* it rests on */
    }
}

EDGEBAT_SELDOM int edgebat_use_ocv(edgebat_t *battery, const edgebat_ocv_t *table) {
    if ((battery == NULL) || (battery->model == NULL) || (table == NULL) || (table->mV == NULL) ||
        (table->follow == NULL)) {
        EDGEBAT_ASSERT(0);
        return EDGEBAT_ERR_NULL;
    }
    int code = EDGEBAT_OK;
    if ((table->points < 2U) || (table->points > MOST_POINTS) || (table->sigma_mV == 0U) ||
        (table->sigma_mV > MOST_TABLE_SIGMA) || (table->sigma_cpct > EDGEBAT_HUNDRED_PERCENT) ||
        (table->unseen_percent > 100U) || (table->aged_percent > 100U) ||
        (table->soh_cpct > (uint32_t)EDGEBAT_MOST_SOH)) {
        code = EDGEBAT_ERR_CONFIG;
    }
    for (uint32_t i = 1U; (code == EDGEBAT_OK) && (i < table->points); i++) {
        code = (table->mV[i] > table->mV[i - 1U]) ? EDGEBAT_OK : EDGEBAT_ERR_CONFIG;
    }
    if (code == EDGEBAT_OK) {
        battery->ocv = table;
    }
    return code;
}
