/*
 * edgebat_pack.c - the cells of a string together, and which of them is another one. edgebat/bms/pack.py is the same
 * in Python.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "edgebat/edgebat_pack.h"

#include "edgebat_bms.h"

#include <stddef.h>

/* So many charges make a cell's usual part; then each counts an eighth. */
#define USUAL EDGEBAT_PACK_USUAL

/* A part that changes by less is noise, 0.01 %; so is six times the usual distance. */
#define LEAST_CHANGE 300U
#define TIMES_NOISE 6U

/* What the distance is taken to be until it is known. */
#define FIRST_NOISE 100U

EDGEBAT_SELDOM int edgebat_pack_set(edgebat_pack_t *pack, uint16_t cell, const edgebat_result_t *result) {
    if ((pack == NULL) || (result == NULL)) {
        EDGEBAT_ASSERT(0);
        return EDGEBAT_ERR_NULL;
    }
    if (cell >= pack->count) {
        return EDGEBAT_ERR_CONFIG;
    }
    edgebat_pack_cell_t *const known = &pack->cells[cell];
    known->soh_cpct = result->soh_cpct;
    known->sigma_cpct = result->sigma_cpct;
    known->status = result->status;
#if EDGEBAT_RESISTANCE
    known->resistance_uOhm = result->resistance_uOhm;
    known->resistance_sigma_cpct = result->resistance_sigma_cpct;
    known->resistance_cpct = result->resistance_cpct;
#endif
    if ((result->cycle != known->cycle) && (result->charge == (uint8_t)EDGEBAT_CHARGE_OK) &&
        (result->window_ppm != 0U)) {
        known->cycle = result->cycle;
        known->window_ppm = result->window_ppm;
    }
    return EDGEBAT_OK;
}

/* Of all charges that wait, the lower one in the middle; 0: fewer than three wait. */
static uint32_t median(const edgebat_pack_t *pack) {
    uint32_t waiting = 0U;
    uint32_t found = 0U;
    for (uint32_t i = 0U; i < pack->count; i++) {
        waiting += (pack->cells[i].window_ppm != 0U) ? 1U : 0U;
    }
    for (uint32_t i = 0U; (waiting >= 3U) && (found == 0U) && (i < pack->count); i++) {
        const uint32_t one = pack->cells[i].window_ppm;
        uint32_t below = 0U;
        uint32_t same = 0U;
        for (uint32_t k = 0U; k < pack->count; k++) {
            const uint32_t other = pack->cells[k].window_ppm;
            below += ((other != 0U) && (other < one)) ? 1U : 0U;
            same += (other == one) ? 1U : 0U;
        }
        const uint32_t middle = (waiting - 1U) / 2U;
        found = ((one != 0U) && (below <= middle) && (middle < below + same)) ? one : 0U;
    }
    return found;
}

static uint16_t nearer(uint32_t here, uint32_t there, uint32_t part) {
    return (uint16_t)((here < there) ? (here + ((there - here) / part)) : (here - ((here - there) / part)));
}

/* One cell's charge beside the median of all, 0.01 %. */
static void compare(edgebat_pack_cell_t *cell, uint32_t part) {
    const uint32_t apart = (part > cell->part) ? (part - cell->part) : (cell->part - part);
    const uint32_t noise = TIMES_NOISE * (uint32_t)cell->noise;
    const uint8_t away = (part > cell->part) ? 1U : 2U;
    if (cell->seen == 0U) {
        cell->part = (uint16_t)part;
        cell->noise = FIRST_NOISE;
        cell->seen = 1U;
    } else if ((cell->seen == USUAL) && (apart > ((noise > LEAST_CHANGE) ? noise : LEAST_CHANGE))) {
        if (cell->away == away) {
            cell->swapped = 1U;
            cell->seen = 0U; /* what is usual now begins with the next charge */
        }
        cell->away = (cell->seen == 0U) ? 0U : away;
    } else {
        const uint32_t shares = (uint32_t)cell->seen + 1U;
        cell->away = 0U;
        cell->part = nearer(cell->part, part, (shares > USUAL) ? USUAL : shares);
        cell->noise = nearer(cell->noise, (apart > UINT16_MAX) ? UINT16_MAX : apart, USUAL);
        cell->seen = (cell->seen < USUAL) ? (uint8_t)(cell->seen + 1U) : cell->seen;
    }
}

EDGEBAT_SELDOM int edgebat_pack_compare(edgebat_pack_t *pack) {
    if (pack == NULL) {
        EDGEBAT_ASSERT(0);
        return EDGEBAT_ERR_NULL;
    }
    const uint32_t middle = median(pack);
    for (uint32_t i = 0U; i < pack->count; i++) {
        edgebat_pack_cell_t *const cell = &pack->cells[i];
        if ((middle != 0U) && (cell->window_ppm != 0U)) {
            const uint64_t part =
                edgebat_bms_quotient((uint64_t)cell->window_ppm * EDGEBAT_HUNDRED_PERCENT, middle);
            compare(cell, (part > UINT16_MAX) ? UINT16_MAX : (uint32_t)part);
        }
        cell->window_ppm = 0U;
    }
    return (middle != 0U) ? EDGEBAT_OK : EDGEBAT_IGNORED;
}

EDGEBAT_SELDOM int edgebat_pack_accept(edgebat_pack_t *pack, uint16_t cell) {
    if (pack == NULL) {
        EDGEBAT_ASSERT(0);
        return EDGEBAT_ERR_NULL;
    }
    if (cell >= pack->count) {
        return EDGEBAT_ERR_CONFIG;
    }
    pack->cells[cell].swapped = 0U;
    pack->cells[cell].seen = 0U;
    pack->cells[cell].away = 0U;
    pack->cells[cell].cycle = 0U;
    return EDGEBAT_OK;
}

/* All cells of a string give the same charge: no more than the weakest has. */
static uint32_t usable_mWh(const edgebat_pack_t *pack, uint32_t weakest_cpct) {
    const uint64_t mAh =
        edgebat_bms_quotient((uint64_t)pack->reference_mAh * weakest_cpct, EDGEBAT_HUNDRED_PERCENT);
    const uint64_t mWh = edgebat_bms_quotient(mAh * ((uint32_t)pack->mean_mV * (uint32_t)pack->count), 1000U);
    return (mWh > UINT32_MAX) ? UINT32_MAX : (uint32_t)mWh;
}

#if EDGEBAT_RESISTANCE
/* Cells in series add up; the one that has grown most heats most. */
static EDGEBAT_SELDOM void add_resistances(const edgebat_pack_t *pack, edgebat_pack_view_t *view) {
    view->resistance_uOhm = (pack->count != 0U) ? 0U : UINT32_MAX;
    view->grown = EDGEBAT_UNKNOWN;
    view->grown_cpct = EDGEBAT_UNKNOWN;
    view->grown_sigma_cpct = EDGEBAT_UNKNOWN;
    for (uint32_t i = pack->count; i != 0U; i--) {
        const edgebat_pack_cell_t *const cell = &pack->cells[i - 1U];
        const uint32_t left = UINT32_MAX - view->resistance_uOhm;
        view->resistance_uOhm += (cell->resistance_uOhm < left) ? cell->resistance_uOhm : left;
        if ((cell->resistance_cpct != EDGEBAT_UNKNOWN) &&
            ((view->grown == EDGEBAT_UNKNOWN) || (cell->resistance_cpct >= view->grown_cpct))) {
            view->grown = (uint16_t)(i - 1U);
            view->grown_cpct = cell->resistance_cpct;
            view->grown_sigma_cpct = cell->resistance_sigma_cpct;
        }
    }
}
#endif

EDGEBAT_SELDOM int edgebat_pack_view(const edgebat_pack_t *pack, edgebat_pack_view_t *view) {
    if ((pack == NULL) || (view == NULL)) {
        EDGEBAT_ASSERT(0);
        return EDGEBAT_ERR_NULL;
    }
    uint32_t sum = 0U;
    uint32_t strongest = 0U;
    view->usable_mWh = UINT32_MAX;
    view->weakest = EDGEBAT_UNKNOWN;
    view->weakest_cpct = EDGEBAT_UNKNOWN;
    view->sigma_cpct = EDGEBAT_UNKNOWN;
    view->mean_cpct = EDGEBAT_UNKNOWN;
    view->spread_cpct = EDGEBAT_UNKNOWN;
    view->known = 0U;
    view->swapped = EDGEBAT_UNKNOWN;
    view->status = (uint8_t)EDGEBAT_STATUS_OK;
    for (uint32_t i = pack->count; i != 0U; i--) {
        const edgebat_pack_cell_t *const cell = &pack->cells[i - 1U];
        view->status = (cell->status != (uint8_t)EDGEBAT_STATUS_OK) ? cell->status : view->status;
        view->swapped = (cell->swapped != 0U) ? (uint16_t)(i - 1U) : view->swapped;
        if (cell->soh_cpct != EDGEBAT_UNKNOWN) {
            view->known++;
            sum += cell->soh_cpct;
            strongest = (cell->soh_cpct > strongest) ? cell->soh_cpct : strongest;
            if (cell->soh_cpct <= view->weakest_cpct) {
                view->weakest = (uint16_t)(i - 1U);
                view->weakest_cpct = cell->soh_cpct;
                view->sigma_cpct = cell->sigma_cpct;
            }
        }
    }
    if (view->known != 0U) {
        view->mean_cpct = (uint16_t)(sum / view->known);
        view->spread_cpct = (uint16_t)(strongest - view->weakest_cpct);
    }
    if ((view->known == pack->count) && (pack->count != 0U)) {
        view->usable_mWh = usable_mWh(pack, view->weakest_cpct);
    }
#if EDGEBAT_RESISTANCE
    add_resistances(pack, view);
#endif
    return EDGEBAT_OK;
}
