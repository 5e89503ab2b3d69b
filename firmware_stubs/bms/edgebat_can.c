/*
 * edgebat_can.c - a result as the data of CAN frames, little-endian signals, all bits of unknown values set.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "edgebat/edgebat_can.h"

#include "edgebat_bms.h"

#include <stddef.h>

static void put16(uint8_t *at, uint32_t value) {
    at[0] = (uint8_t)value;
    at[1] = (uint8_t)(value >> 8U);
}

static uint32_t capped(uint32_t value) {
    return (value > EDGEBAT_UNKNOWN) ? EDGEBAT_UNKNOWN : value;
}

EDGEBAT_SELDOM int edgebat_can_pack(const edgebat_model_t *model, const edgebat_result_t *result,
                                    uint32_t frame, uint32_t counter, uint8_t data[EDGEBAT_CAN_BYTES]) {
    if ((model == NULL) || (result == NULL) || (data == NULL)) {
        EDGEBAT_ASSERT(0);
        return EDGEBAT_ERR_NULL;
    }
    int code = EDGEBAT_OK;
    switch (frame) {
    case EDGEBAT_CAN_HEALTH:
        put16(&data[0], result->soh_cpct);
        put16(&data[2], result->sigma_cpct);
        put16(&data[4], result->rul_cycles);
        data[6] = (uint8_t)(result->status | ((uint32_t)result->source << 4U));
        data[7] = (uint8_t)(counter & 15U);
        break;
    case EDGEBAT_CAN_DETAILS:
        put16(&data[0], result->model_cpct);
        put16(&data[2], result->counting_cpct);
        put16(&data[4], result->age_cycles);
        put16(&data[6], capped(result->age_s / 60U)); /* minutes */
        break;
    case EDGEBAT_CAN_FORECAST:
        data[0] = (uint8_t)counter;
        data[1] = result->points;
        for (uint32_t i = 0U; i < 3U; i++) {
            const uint32_t point = (counter < 3U) ? ((3U * counter) + i) : EDGEBAT_POINTS_MAX;
            put16(&data[2U + (2U * i)],
                  (point < EDGEBAT_POINTS_MAX) ? result->points_cpct[point] : EDGEBAT_UNKNOWN);
        }
        break;
    case EDGEBAT_CAN_MODEL:
        put16(&data[0], model->fingerprint & 0xFFFFU);
        put16(&data[2], model->fingerprint >> 16U);
        put16(&data[4], capped(result->cycle));
        data[6] = result->charge;
        data[7] = result->warmup;
        break;
#if EDGEBAT_RESISTANCE
    case EDGEBAT_CAN_RESISTANCE:
        put16(&data[0], result->resistance_uOhm & 0xFFFFU);
        put16(&data[2], result->resistance_uOhm >> 16U);
        put16(&data[4], result->resistance_sigma_cpct);
        put16(&data[6], result->resistance_cpct);
        break;
#endif
    default:
        code = EDGEBAT_ERR_FORMAT;
        break;
    }
    return code;
}
