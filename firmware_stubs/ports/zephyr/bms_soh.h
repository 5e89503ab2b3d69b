/*
 * bms_soh.h - the slot of LibreSolar's bms-firmware: call bms_soh_update(&bms) after bms_soc_update(&bms).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef BMS_SOH_H
#define BMS_SOH_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct bms_context;

/** What a data object shows; NaN: not known. */
struct bms_soh {
    float soh_pct;
    float sigma_pct;
    float rul_cycles;
    uint16_t status; /* edgebat_status_t */
    uint16_t source; /* edgebat_source_t */
};

extern struct bms_soh bms_soh;

/**
 * Take the measurement in `bms`. The first call begins, with the pack's nominal capacity and cell voltage
 * limits; a capacity that changes later begins again.
 */
void bms_soh_update(struct bms_context *bms);

#ifdef __cplusplus
}
#endif

#endif
