/*
 * edgebat_resistance.h - the resistance of a cell from steps of its current, and what it was when new.
 *
 * For a firmware that is compiled with EDGEBAT_RESISTANCE 1. Nobody has to call anything: edgebat_push watches the
 * current, and edgebat_result says resistance_uOhm, resistance_sigma_cpct and resistance_cpct as soon as 40 steps have told
 * them. What a new cell has is known from the configuration (resistance.new_uOhm), from the first 320 steps of a cell that the
 * configuration calls new (resistance.is_new), or from here.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EDGEBAT_RESISTANCE_H
#define EDGEBAT_RESISTANCE_H

#include "edgebat/edgebat.h"

#ifdef __cplusplus
extern "C" {
#endif

#if EDGEBAT_RESISTANCE

/** Service: another cell is in, measured anew. new_uOhm: its resistance when new, at 25 degC; 0: it is new now, its first
 * resistance is that. EDGEBAT_ERR_CONFIG: more than 20 Ohm. */
int edgebat_begin_resistance(edgebat_t *battery, uint32_t new_uOhm);

#endif

#ifdef __cplusplus
}
#endif

#endif
