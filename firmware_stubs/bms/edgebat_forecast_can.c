/*
 * edgebat_forecast_can.c - a forecast as the data of CAN frames, little-endian signals, all bits of unknown
 * values set.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "edgebat/edgebat_forecast.h"

#include <stddef.h>

static void place16(uint8_t *at, uint32_t value) {
    at[0] = (uint8_t)value;
    at[1] = (uint8_t)(value >> 8U);
}

int edgebat_forecast_can_pack(const edgebat_forecast_model_t *model, const edgebat_forecast_result_t *result,
                              uint32_t frame, uint32_t counter, uint8_t data[8]) {
    if ((model == NULL) || (result == NULL) || (data == NULL)) {
        EDGEBAT_ASSERT(0);
        return EDGEBAT_ERR_NULL;
    }
    int code = EDGEBAT_OK;
    switch (frame) {
    case EDGEBAT_CAN_OUTLOOK:
        place16(&data[0], result->eol_cycles);
        place16(&data[2], result->age_cycles);
        place16(&data[4], result->horizon);
        data[6] = (uint8_t)((result->missing > 255U) ? 255U : result->missing);
        data[7] = result->status;
        break;
    case EDGEBAT_CAN_TRAJECTORY:
        data[0] = (uint8_t)counter;
        data[1] = result->points;
        for (uint32_t i = 0U; i < 3U; i++) {
            const uint32_t point = (counter < 3U) ? ((3U * counter) + i) : EDGEBAT_POINTS_MAX;
            place16(&data[2U + (2U * i)],
                    (point < EDGEBAT_POINTS_MAX) ? result->points_cpct[point] : EDGEBAT_UNKNOWN);
        }
        break;
    case EDGEBAT_CAN_FORECASTER:
        place16(&data[0], model->fingerprint & 0xFFFFU);
        place16(&data[2], model->fingerprint >> 16U);
        place16(&data[4], (result->cycle > EDGEBAT_UNKNOWN) ? EDGEBAT_UNKNOWN : result->cycle);
        place16(&data[6], result->soh_cpct);
        break;
    default:
        code = EDGEBAT_ERR_FORMAT;
        break;
    }
    return code;
}
