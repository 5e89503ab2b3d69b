/*
 * edgebat_service.h - what a workshop does: forget one thing, put another module in, take another board.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EDGEBAT_SERVICE_H
#define EDGEBAT_SERVICE_H

#include "edgebat/edgebat.h"

#ifdef __cplusplus
extern "C" {
#endif

#define EDGEBAT_RESET_HEALTH 1U /* all that was measured: nobody knows the SOH */
#define EDGEBAT_RESET_USE 2U    /* cycles, throughput, clock; what is known of health is as if measured now */
#define EDGEBAT_RESET_COUNTING 4U /* counts and rests under way, and what was measured by them */
#define EDGEBAT_RESET_WINDOW 8U   /* the charges of the window, and what the model made of them */
#if EDGEBAT_RESISTANCE
#define EDGEBAT_RESET_RESISTANCE 16U /* the resistance, and that when new */
#endif
#define EDGEBAT_RESET_MODULE                                                                                 \
    (15U + (16U * EDGEBAT_RESISTANCE)) /* another module: all but the serial number */

/** Forget one thing, or several; the others stay. EDGEBAT_ERR_CONFIG: none, or one that there is not. */
int edgebat_reset(edgebat_t *battery, uint32_t what);

/** What a workshop reads from a board and gives to the one that takes its place. */
typedef struct {
    uint32_t serial; /* of what the board sits in; 0: not given */
    uint32_t cycle;  /* as in the result */
    uint32_t throughput_mAh;
    uint32_t clock_s;    /* of operation */
    uint16_t soh_cpct;   /* EDGEBAT_UNKNOWN: not known */
    uint16_t sigma_cpct; /* its standard deviation */
#if EDGEBAT_RESISTANCE
    uint32_t new_uOhm; /* resistance when new, at 25 degC; 0: not known */
#endif
} edgebat_use_t;

int edgebat_use(const edgebat_t *battery, edgebat_use_t *use);

/** Another board in the same place: it goes on with this use and health. EDGEBAT_ERR_CONFIG: no cycle at all, or an
 * SOH or deviation that edgebat_seed would refuse; nothing is taken then. */
int edgebat_adopt(edgebat_t *battery, const edgebat_use_t *use);

#ifdef __cplusplus
}
#endif

#endif
