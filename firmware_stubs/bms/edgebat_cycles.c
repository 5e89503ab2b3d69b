/*
 * edgebat_cycles.c - throughput, equivalent full cycles and what a cell loses in them, and the cycles that a battery's
 * owner would count.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "edgebat_bms.h"

/* A twentieth of the nominal capacity makes a discharge, and a charge, of a cycle. */
#define CYCLE_PART 20U

/* A cell whose data sheet is not known may lose 20 % in 500 full cycles. */
#define USUAL_CYCLES 500U
#define USUAL_LOST 2000U

/* Beyond this the counter stands; at the one-hour current that is millions of years. */
#define MOST_THROUGHPUT (UINT64_C(1) << 63U)

/* No charge comes so far: one that never ends, or a saved state that lies. */
#define MOST_CHARGE (INT64_C(1) << 60U)

int64_t edgebat_bms_sum(int64_t charge, int64_t part) {
    return ((charge < MOST_CHARGE) && (charge > -MOST_CHARGE)) ? (charge + part) : charge;
}

uint64_t edgebat_bms_part(const edgebat_t *battery, uint32_t over) {
    return (uint64_t)battery->config->nominal_mAh * (EDGEBAT_PER_MAH / over);
}

uint16_t edgebat_bms_efc(uint32_t nominal_mAh, uint64_t throughput) {
    const uint64_t quarter = (uint64_t)nominal_mAh * (EDGEBAT_PER_MAH / 2U);
    const uint64_t efc = (quarter != 0U) ? edgebat_bms_quotient(throughput, quarter) : UINT16_MAX;
    return (uint16_t)((efc > UINT16_MAX) ? UINT16_MAX : efc);
}

uint32_t edgebat_bms_faded(const edgebat_t *battery, uint32_t efc) {
    const uint32_t rated = battery->config->rated_cycles;
    const uint32_t cycles = (rated != 0U) ? rated : USUAL_CYCLES;
    const uint32_t lost = (rated != 0U) ? (EDGEBAT_HUNDRED_PERCENT - battery->model->eol_cpct) : USUAL_LOST;
    const uint32_t faded = (efc * lost) / (cycles * 4U);
    return (faded > EDGEBAT_HUNDRED_PERCENT) ? EDGEBAT_HUNDRED_PERCENT : faded;
}

uint16_t edgebat_bms_use(const edgebat_t *battery) {
    return (uint16_t)(battery->throughput >> 26U);
}

uint32_t edgebat_bms_throughput_mAh(const edgebat_t *battery) {
    const uint64_t mAh = edgebat_bms_quotient(battery->throughput, EDGEBAT_PER_MAH);
    return (mAh > UINT32_MAX) ? UINT32_MAX : (uint32_t)mAh;
}

void edgebat_bms_count_cycle(edgebat_t *battery) {
    battery->armed = 0U;
    battery->swing = 0U;
    battery->cycle_used = 0U;
    battery->unseen = 0U;
    battery->cycle++;
    battery->revision++;
}

/* What lies in a swing once `part` has come, or has left it; never below nothing. */
static EDGEBAT_APART uint64_t moved(uint64_t swing, int64_t part) {
    return ((part < 0) && (swing < (uint64_t)-part)) ? 0U : (swing + (uint64_t)part);
}

/* Net discharge of a cycle's part, then as much net charge: what brakes give back on the way makes none. */
static void follow_swing(edgebat_t *battery, int64_t part) {
    const uint8_t armed = battery->armed;
    battery->swing = moved(battery->swing, (armed != 0U) ? part : -part);
    if (battery->swing < edgebat_bms_part(battery, CYCLE_PART)) {
        /* not yet */
    } else if (armed != 0U) {
        edgebat_bms_count_cycle(battery);
    } else {
        battery->armed = 1U;
        battery->swing = 0U;
        battery->above =
            0U; /* after so much no charge goes on where it paused, whatever the sensor's error */
        battery->revision++; /* without it a loss of power would lose the cycle */
    }
}

void edgebat_bms_count(edgebat_t *battery, int64_t part, uint32_t dt_ms) {
    if (battery->throughput < MOST_THROUGHPUT) {
        battery->throughput += (uint64_t)((part < 0) ? -part : part);
    }
    if ((battery->throughput >= (((uint64_t)battery->efc + 1U) * edgebat_bms_part(battery, 2U))) &&
        (battery->efc < UINT16_MAX)) {
        battery->efc = edgebat_bms_efc(battery->config->nominal_mAh, battery->throughput);
        battery->weigh |= EDGEBAT_WEIGH_AGE;
    }
    if (battery->above != 0U) {
        battery->above = moved(battery->above, part);
    }
    follow_swing(battery, part);
    edgebat_bms_count_anchor(battery, part, dt_ms);
}
