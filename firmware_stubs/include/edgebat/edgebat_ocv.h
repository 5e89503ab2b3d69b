/*
 * edgebat_ocv.h - capacity from charge between two rests, over a table of open-circuit voltages.
 *
 * A product that does not call edgebat_use_ocv links nothing of it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EDGEBAT_OCV_H
#define EDGEBAT_OCV_H

#include "edgebat/edgebat.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Open-circuit voltages of a cell at states of charge that are equally spaced from 0 to 100 %. Constant while a
 * battery uses it. `python -m edgebat.bms.ocv` makes one. */
typedef struct edgebat_ocv {
    void (*follow)(edgebat_t *battery, int16_t cell_mV, int64_t part, uint32_t counted_ms);
    const int16_t *mV;   /* [points], ascending */
    uint16_t points;     /* 2 to 256 */
    uint16_t sigma_mV;   /* standard deviation of table and sensor together, 1 to 1000 */
    uint16_t sigma_cpct; /* ... of a capacity by this table, however much charge flowed: the sensor's gain */
    uint16_t
        unseen_percent; /* an aged cell's voltages are others: so much of the loss that they show is missing */
    uint16_t aged_percent; /* ... more deviation, of the capacity lost since */
    uint16_t soh_cpct;     /* of the cells whose voltages these are, of reference_mAh */
} edgebat_ocv_t;

/** As far as nobody has compared the table of a new cell with aged ones: 4 points, a quarter of the capacity that seems to
 * be lost has been lost as well, and a fifth of all that is uncertain. */
#define EDGEBAT_OCV_SIGMA_CPCT 400U
#define EDGEBAT_OCV_UNSEEN_PERCENT 25U
#define EDGEBAT_OCV_AGED_PERCENT 20U

/** What a table is initialised with. */
#define EDGEBAT_OCV(mV, points, sigma_mV, sigma_cpct, unseen_percent, aged_percent, soh_cpct)                \
    {&edgebat_follow_rest, (mV),           (points),  (sigma_mV), (sigma_cpct),                              \
     (unseen_percent),     (aged_percent), (soh_cpct)}

/** Called by edgebat_push for a battery with a table, after a sample was counted. */
void edgebat_follow_rest(edgebat_t *battery, int16_t cell_mV, int64_t part, uint32_t counted_ms);

/**
 * Use a table of open-circuit voltages from now on: charge between two rests becomes a source of its own, from
 * partial charges and discharges of 35 % and more. After every edgebat_init and before the first sample.
 * EDGEBAT_ERR_CONFIG: the voltages do not ascend, or a number is out of its range.
 */
int edgebat_use_ocv(edgebat_t *battery, const edgebat_ocv_t *table);

#ifdef __cplusplus
}
#endif

#endif
