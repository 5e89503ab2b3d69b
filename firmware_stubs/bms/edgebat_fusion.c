/*
 * edgebat_fusion.c - all evidence of a cell's health, weighed by errors that grow with cycles and with time.
 *
 * Every source keeps what it said last, when, and with which deviation. Their mean, weighted by one over the
 * variance of each, is the target of what is published. Nothing is ever switched, so nothing old comes back
 * when something new grows old: its weight has shrunk as well. Age alone makes no cell healthier.
 *
 * Ranges: a deviation is at most 10,000, a model's twice that, so that a variance is at most 7 x 10^8, a weight 3 to
 * 2^28, five weights at most 2^31, and their sum times SOH stays below 2^45.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "edgebat_bms.h"

#define MOST_SIGMA UINT32_C(10000)
#define WEIGHTS (UINT32_C(1) << 31U)
#define MOST_WEIGHT (UINT32_C(1) << 28U)

/* What a cell usually loses in a quarter of a full cycle, 0.01 %: 20 % in 500. */
#define USUAL_PER_EFC 1U

/* A cell may have faded four times as fast. */
#define FADES 4U

/* And any cell 3 % per year, used or not: a tenth of it in 73 times four hours. */
#define FOUR_HOURS 73U
#define LOST_IN_THEM 10U

/* A model without a known deviation, and one that was not given a temperature, 0.01 %. */
#define UNKNOWN_SIGMA 300U
#define BLIND_SIGMA 300U
/* A model states its error on cells like those it has learnt from. On other kinds that it does not refuse it errs twice
 * as much and more (docs/trust.md): so its deviation counts until a measurement says the same. */
#define ALONE 2U

/* Charges unlike the training data in a row: the deviation of the estimate before them grows by their cube. */
#define ODD_SIGMA 100U

static uint32_t at_most(uint64_t value, uint32_t most) {
    return (value > most) ? most : (uint32_t)value;
}

static uint32_t square(uint32_t sigma_cpct) {
    return sigma_cpct * sigma_cpct;
}

/* By bits, from the highest that an SOH can have. */
EDGEBAT_SELDOM uint32_t edgebat_bms_square_root(uint32_t value) {
    uint32_t root = 0U;
    for (uint32_t bit = UINT32_C(1) << 15U; bit != 0U; bit >>= 1U) {
        const uint32_t next = root | bit;
        root = ((next * next) <= value) ? next : root;
    }
    return root;
}

static uint32_t age_efc(const edgebat_t *battery, const edgebat_evidence_t *evidence) {
    return (uint32_t)battery->efc - evidence->at_efc;
}

/* Who has measured last, in the order of the places. */
static EDGEBAT_SELDOM const edgebat_evidence_t *newest(const edgebat_t *battery) {
    const edgebat_evidence_t *found = &battery->evidence[0];
    for (uint32_t by = 1U; by < EDGEBAT_EVIDENCE; by++) {
        const edgebat_evidence_t *const other = &battery->evidence[by];
        if ((other->cpct != EDGEBAT_UNKNOWN) &&
            ((found->cpct == EDGEBAT_UNKNOWN) || (other->at_efc > found->at_efc))) {
            found = other;
        }
    }
    return found;
}

/* What a source says now: only a data sheet lets it fade. */
static uint32_t now_cpct(const edgebat_t *battery, const edgebat_evidence_t *evidence) {
    const uint32_t faded =
        (battery->config->rated_cycles != 0U) ? edgebat_bms_faded(battery, age_efc(battery, evidence)) : 0U;
    return (faded < evidence->cpct) ? (evidence->cpct - faded) : 0U;
}

uint16_t edgebat_bms_counting(const edgebat_t *battery) {
    const edgebat_evidence_t *const counted = &battery->evidence[EDGEBAT_BY_COUNTING];
    uint32_t cpct = EDGEBAT_UNKNOWN;
    if (counted->cpct != EDGEBAT_UNKNOWN) {
        cpct = now_cpct(battery, counted);
    } else if (battery->config->rated_cycles != 0U) {
        cpct = EDGEBAT_HUNDRED_PERCENT - edgebat_bms_faded(battery, battery->efc);
    } else {
        /* nobody knows */
    }
    return (uint16_t)cpct;
}

static uint32_t now_4h(const edgebat_t *battery) {
    return at_most(battery->clock_s / EDGEBAT_S_PER_4H, UINT16_MAX);
}

/* Whether somebody has measured so much, within his own deviation. */
static uint8_t agrees(const edgebat_evidence_t *other, uint32_t cpct) {
    const uint32_t apart = (other->cpct > cpct) ? (other->cpct - cpct) : (cpct - other->cpct);
    return ((other->cpct != EDGEBAT_UNKNOWN) && (apart <= other->sigma_cpct)) ? 1U : 0U;
}

static EDGEBAT_SELDOM uint32_t variance(const edgebat_t *battery, uint32_t by) {
    const edgebat_evidence_t *const evidence = &battery->evidence[by];
    const uint32_t odd = (by == EDGEBAT_BY_MODEL) ? battery->odd_rows : 0U;
    const uint32_t times = ((by != EDGEBAT_BY_MODEL) ||
                            (agrees(&battery->evidence[EDGEBAT_BY_COUNTING], evidence->cpct) != 0U) ||
                            (agrees(&battery->evidence[EDGEBAT_BY_REST], evidence->cpct) != 0U))
                               ? 1U
                               : ALONE;
    const uint32_t aged = now_4h(battery) - evidence->at_4h;
    const uint32_t sum = square(evidence->sigma_cpct * times) +
                         square(edgebat_bms_faded(battery, age_efc(battery, evidence))) +
                         square((aged * LOST_IN_THEM) / FOUR_HOURS) +
                         square(at_most(odd * odd * odd * ODD_SIGMA, MOST_SIGMA));
    return (sum == 0U) ? 1U : sum;
}

/* What every source says now and how sure that is; a variance of 0 is one that says nothing: nobody has
 * measured, or with a model that is not what it was. */
typedef struct {
    uint16_t cpct[EDGEBAT_EVIDENCE];
    uint32_t variance[EDGEBAT_EVIDENCE];
} heard_t;

static EDGEBAT_SELDOM void hear(const edgebat_t *battery, heard_t *heard) {
    const edgebat_evidence_t *const last = newest(battery);
    const uint32_t last_cpct = now_cpct(battery, last);
    for (uint32_t by = 0U; by < EDGEBAT_EVIDENCE; by++) {
        const edgebat_evidence_t *const evidence = &battery->evidence[by];
        const uint8_t deaf = (by == EDGEBAT_BY_MODEL) ? battery->corrupt : 0U;
        const uint8_t said = (evidence->cpct != EDGEBAT_UNKNOWN) ? 1U : 0U;
        uint32_t cpct = now_cpct(battery, evidence);
        if (cpct > last_cpct) {
            /* A cell was healthier once: that pulls nobody up as far as fading explains it. */
            const uint32_t apart_efc = (uint32_t)last->at_efc - evidence->at_efc;
            const uint32_t rated = edgebat_bms_faded(battery, apart_efc);
            const uint32_t since =
                (rated > (apart_efc * USUAL_PER_EFC)) ? rated : (apart_efc * USUAL_PER_EFC);
            const uint32_t above = cpct - last_cpct;
            cpct -= (above < (FADES * since)) ? above : (FADES * since);
        }
        heard->cpct[by] = (uint16_t)cpct;
        heard->variance[by] = ((said != 0U) && (deaf == 0U)) ? variance(battery, by) : 0U;
    }
}

/* How far apart two sources are that contradict each other by more than three times their errors, else 0. */
static EDGEBAT_SELDOM uint32_t widest_conflict(const heard_t *heard) {
    uint32_t widest = 0U;
    for (uint32_t one = 1U; one < EDGEBAT_EVIDENCE; one++) {
        for (uint32_t other = 0U; other < one; other++) {
            const uint32_t a = heard->cpct[one];
            const uint32_t b = heard->cpct[other];
            const uint32_t apart = (a > b) ? (a - b) : (b - a);
            const uint32_t both = (heard->variance[one] + heard->variance[other]);
            if ((heard->variance[one] != 0U) && (heard->variance[other] != 0U) && (apart > widest) &&
                (((apart * apart) / 9U) > both)) {
                widest = apart;
            }
        }
    }
    return widest;
}

/* The mean of all that is heard; its deviation, or half of what it has to bridge. */
static EDGEBAT_SELDOM void fuse(edgebat_t *battery) {
    static const uint8_t sources[EDGEBAT_EVIDENCE] = {EDGEBAT_SOURCE_MODEL, EDGEBAT_SOURCE_COUNTING,
                                                      EDGEBAT_SOURCE_WINDOW, EDGEBAT_SOURCE_INHERITED,
                                                      EDGEBAT_SOURCE_REST};
    heard_t heard;
    uint32_t weights = 0U;
    uint32_t heaviest = 0U;
    uint64_t sum = 0U;
    hear(battery, &heard);
    battery->source = (uint8_t)EDGEBAT_SOURCE_NONE;
    for (uint32_t by = 0U; by < EDGEBAT_EVIDENCE; by++) {
        if (heard.variance[by] != 0U) {
            const uint32_t weight = at_most(WEIGHTS / heard.variance[by], MOST_WEIGHT);
            weights += weight;
            sum += (uint64_t)weight * heard.cpct[by];
            battery->source = (weight > heaviest) ? sources[by] : battery->source;
            heaviest = (weight > heaviest) ? weight : heaviest;
        }
    }
    const uint32_t apart = widest_conflict(&heard);
    battery->conflict = (apart != 0U) ? 1U : 0U;
    if (weights != 0U) {
        const uint32_t sigma = edgebat_bms_square_root(WEIGHTS / weights);
        battery->target_cpct = (uint16_t)edgebat_bms_ratio(sum, weights);
        battery->target_sigma = (uint16_t)((sigma > (apart / 2U)) ? sigma : (apart / 2U));
    } else if (battery->settled == 0U) {
        /* a new cell; once something was measured, a data sheet has nothing to say any more */
        battery->target_cpct = edgebat_bms_counting(battery);
        battery->target_sigma = EDGEBAT_UNKNOWN;
        battery->source = (uint8_t)((battery->target_cpct != EDGEBAT_UNKNOWN) ? EDGEBAT_SOURCE_DATASHEET
                                                                              : EDGEBAT_SOURCE_NONE);
    } else {
        /* nobody is heard */
    }
}

uint8_t edgebat_bms_is_measured(const edgebat_t *battery) {
    return ((battery->source != (uint8_t)EDGEBAT_SOURCE_NONE) &&
            (battery->source != (uint8_t)EDGEBAT_SOURCE_DATASHEET))
               ? 1U
               : 0U;
}

/* Age takes from all, but not in equal parts: what was the best of it is the most that is left. */
static EDGEBAT_SELDOM void hold_down(edgebat_t *battery) {
    if (edgebat_bms_is_measured(battery) != 0U) {
        if (((battery->weigh & EDGEBAT_WEIGH_NEW) != 0U) || (battery->target_cpct < battery->ceiling_cpct)) {
            battery->ceiling_cpct = battery->target_cpct;
        }
        battery->target_cpct = battery->ceiling_cpct;
    }
}

void edgebat_bms_weigh(edgebat_t *battery) {
    if (battery->weigh != 0U) {
        fuse(battery);
        hold_down(battery);
        battery->weigh = 0U;
    }
}

void edgebat_bms_learn(edgebat_t *battery, uint32_t by, uint16_t cpct, uint32_t sigma_cpct) {
    edgebat_evidence_t *const evidence = &battery->evidence[by];
    evidence->at_efc = battery->efc;
    evidence->at_4h = (uint16_t)now_4h(battery);
    evidence->cpct = cpct;
    evidence->sigma_cpct = (uint16_t)at_most(sigma_cpct, MOST_SIGMA);
    battery->weigh |= EDGEBAT_WEIGH_NEW;
}

/* Half the window lies in the past; one that reaches back further than usual is worse by what was lost since. */
void edgebat_bms_learn_model(edgebat_t *battery, uint16_t cpct, uint16_t sigma_cpct) {
    const uint32_t usual = 8U * (uint32_t)battery->model->context;
    const uint32_t late = (battery->span > usual) ? ((battery->span - usual) / 2U) : 0U;
    const uint32_t known = (sigma_cpct == EDGEBAT_UNKNOWN) ? UNKNOWN_SIGMA : sigma_cpct;
    const uint32_t blind = (battery->row_blind != 0U) ? BLIND_SIGMA : 0U;
    const uint32_t sum =
        square(at_most(known, MOST_SIGMA)) + square(blind) + square(edgebat_bms_faded(battery, late));
    battery->window_ppm = edgebat_bms_window_ppm(battery);
    battery->odd_rows = 0U;
    battery->evidence[EDGEBAT_BY_WINDOW].cpct = EDGEBAT_UNKNOWN;
    edgebat_bms_learn(battery, EDGEBAT_BY_MODEL, cpct, edgebat_bms_square_root(sum));
}
