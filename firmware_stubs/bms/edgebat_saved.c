/*
 * edgebat_saved.c - a battery's state as bytes, lowest byte first on every core.
 *
 *    0 magic, version       4 length             8 fingerprint      12 sequence
 *   16 nominal mAh         20 reference mAh     24 cycle            28 throughput
 *   36 counted at          44 age               48 cycle of row     52 cycle of estimate
 *   56 published           58 counted           60 estimate         62 RUL
 *   64 rows                66 has estimate      67 outside          68 settled
 *   69 zero                72 trajectory, window, CRC-32
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "edgebat_bms.h"

#include <stddef.h>

#define VERSION 1U
static const uint8_t magic[4] = {0x45U, 0x42U, 0x53U, VERSION};

static void put(uint8_t **at, uint64_t value, uint32_t bytes) {
    for (uint32_t i = 0U; i < bytes; i++) {
        **at = (uint8_t)(value >> (8U * i));
        (*at)++;
    }
}

static uint64_t get(const uint8_t *at, uint32_t bytes) {
    uint64_t value = 0U;
    for (uint32_t i = bytes; i != 0U; i--) {
        value = (value << 8U) | at[i - 1U];
    }
    return value;
}

static uint32_t get32(const uint8_t *at) {
    return (uint32_t)get(at, 4U);
}

static uint16_t get16(const uint8_t *at) {
    return (uint16_t)get(at, 2U);
}

uint32_t edgebat_state_bytes(const edgebat_model_t *model) {
    return (model == NULL) ? 0U
                           : EDGEBAT_SAVED_BYTES((uint32_t)model->increments, (uint32_t)model->context,
                                                 (uint32_t)model->points);
}

int edgebat_state_get(edgebat_t *battery, void *buffer, uint32_t bytes) {
    if ((battery == NULL) || (buffer == NULL) || (battery->model == NULL)) {
        EDGEBAT_ASSERT(0);
        return EDGEBAT_ERR_NULL;
    }
    const edgebat_model_t *const model = battery->model;
    const uint32_t length = edgebat_state_bytes(model);
    if (bytes < length) {
        return EDGEBAT_ERR_LENGTH;
    }
    uint8_t *at = (uint8_t *)buffer;
    const int8_t *const window = edgebat_bms_window(battery);
    battery->sequence++;
    for (uint32_t i = 0U; i < 4U; i++) {
        put(&at, magic[i], 1U);
    }
    put(&at, length, 4U);
    put(&at, model->fingerprint, 4U);
    put(&at, battery->sequence, 4U);
    put(&at, battery->config->nominal_mAh, 4U);
    put(&at, battery->config->reference_mAh, 4U);
    put(&at, battery->cycle, 4U);
    put(&at, battery->throughput, 8U);
    put(&at, battery->counted_at, 8U);
    put(&at, battery->age_s, 4U);
    put(&at, battery->row_cycle, 4U);
    put(&at, battery->estimate_cycle, 4U);
    put(&at, battery->published_cpct, 2U);
    put(&at, battery->counted_cpct, 2U);
    put(&at, battery->estimate_cpct, 2U);
    put(&at, battery->estimate_rul, 2U);
    put(&at, battery->rows, 2U);
    put(&at, battery->has_estimate, 1U);
    put(&at, battery->outside, 1U);
    put(&at, battery->settled, 1U);
    put(&at, 0U, 3U);
    for (uint32_t i = 0U; i < model->points; i++) {
        put(&at, battery->estimate_points[i], 2U);
    }
    for (uint32_t i = 0U; i < (uint32_t)model->increments * model->context; i++) {
        put(&at, (i < (uint32_t)model->increments * battery->rows) ? (uint8_t)window[i] : 0U, 1U);
    }
    put(&at, edgebat_crc32(0U, buffer, length - 4U), 4U);
    return EDGEBAT_OK;
}

static int is_blank(const uint8_t *bytes, uint32_t length) {
    int blank = 0;
    if ((bytes[0] == 0U) || (bytes[0] == 0xFFU)) {
        blank = 1;
    }
    for (uint32_t i = 1U; i < length; i++) {
        blank = (bytes[i] == bytes[0]) ? blank : 0;
    }
    return blank;
}

static int is_percentage(uint16_t cpct, uint32_t least) {
    return ((cpct >= least) && (cpct <= (uint32_t)EDGEBAT_MOST_SOH)) ? 1 : 0;
}

/* What a sound writer never writes, whatever the checksum says. */
static int is_consistent(const edgebat_model_t *model, const uint8_t *saved) {
    const uint32_t cycle = get32(&saved[24]);
    const uint32_t row_cycle = get32(&saved[48]);
    const uint16_t published = get16(&saved[56]);
    const uint16_t counted = get16(&saved[58]);
    const uint8_t has_estimate = saved[66];
    return (cycle >= 1U) && (row_cycle <= cycle) && (get32(&saved[52]) <= row_cycle) &&
           (get(&saved[36], 8U) <= get(&saved[28], 8U)) && (get16(&saved[64]) <= model->context) &&
           (has_estimate <= 1U) && (saved[67] <= 1U) && (saved[68] <= 1U) && (get(&saved[69], 3U) == 0U) &&
           ((published == EDGEBAT_UNKNOWN) || (is_percentage(published, 0U) != 0)) &&
           ((counted == EDGEBAT_UNKNOWN) || (is_percentage(counted, 2000U) != 0)) &&
           ((has_estimate == 0U) || (is_percentage(get16(&saved[60]), (uint32_t)EDGEBAT_LEAST_SOH) != 0));
}

int edgebat_state_check(const edgebat_model_t *model, const edgebat_config_t *config, const void *saved,
                        uint32_t bytes) {
    int code = edgebat_bms_check(model, config);
    if ((code == EDGEBAT_OK) && (saved == NULL)) {
        code = EDGEBAT_ERR_NULL;
    }
    if (code == EDGEBAT_OK) {
        const uint8_t *const at = (const uint8_t *)saved;
        const uint32_t length = edgebat_state_bytes(model);
        if (bytes < EDGEBAT_SAVED_HEADER) {
            code = EDGEBAT_ERR_LENGTH;
        } else if (is_blank(at, bytes) != 0) {
            code = EDGEBAT_ERR_BLANK;
        } else if ((at[0] != magic[0]) || (at[1] != magic[1]) || (at[2] != magic[2]) || (at[3] != magic[3])) {
            code = EDGEBAT_ERR_FORMAT;
        } else if (get32(&at[4]) > bytes) {
            code = EDGEBAT_ERR_LENGTH;
        } else if (get32(&at[4]) < EDGEBAT_SAVED_HEADER + 4U) {
            code = EDGEBAT_ERR_DAMAGED;
        } else if (edgebat_crc32(0U, saved, get32(&at[4]) - 4U) != get32(&at[get32(&at[4]) - 4U])) {
            code = EDGEBAT_ERR_DAMAGED;
        } else if ((get32(&at[4]) != length) || (get32(&at[8]) != model->fingerprint) ||
                   (get32(&at[16]) != config->nominal_mAh) || (get32(&at[20]) != config->reference_mAh)) {
            code = EDGEBAT_ERR_OTHER;
        } else if (is_consistent(model, at) == 0) {
            code = EDGEBAT_ERR_DAMAGED;
        } else {
            /* sound */
        }
    }
    return code;
}

void edgebat_bms_restore(edgebat_t *battery, const uint8_t *saved) {
    const edgebat_model_t *const model = battery->model;
    int8_t *const window = edgebat_bms_window(battery);
    const uint8_t *const points = &saved[EDGEBAT_SAVED_HEADER];
    const uint8_t *const rows = &points[2U * model->points];
    battery->sequence = get32(&saved[12]);
    battery->cycle = get32(&saved[24]);
    battery->throughput = get(&saved[28], 8U);
    battery->counted_at = get(&saved[36], 8U);
    battery->age_s = get32(&saved[44]);
    battery->row_cycle = get32(&saved[48]);
    battery->estimate_cycle = get32(&saved[52]);
    battery->published_cpct = get16(&saved[56]);
    battery->counted_cpct = get16(&saved[58]);
    battery->estimate_cpct = get16(&saved[60]);
    battery->estimate_rul = get16(&saved[62]);
    battery->rows = get16(&saved[64]);
    battery->has_estimate = saved[66];
    battery->outside = saved[67];
    battery->settled = saved[68];
    /* What flowed without power nobody knows; the next charge counts as a cycle, or a drive would be lost. */
    battery->discharged = (uint64_t)battery->config->nominal_mAh * EDGEBAT_PER_MAH;
    /* An inference that the power cut short begins again. */
    if ((battery->rows == model->context) &&
        ((battery->has_estimate == 0U) || (battery->estimate_cycle != battery->row_cycle))) {
        battery->slice = 1U;
    }
    for (uint32_t i = 0U; i < model->points; i++) {
        battery->estimate_points[i] = get16(&points[2U * i]);
    }
    for (uint32_t i = 0U; i < (uint32_t)model->increments * model->context; i++) {
        window[i] = (int8_t)((rows[i] < 128U) ? (int32_t)rows[i] : ((int32_t)rows[i] - 256));
    }
}

const void *edgebat_state_newest(const edgebat_model_t *model, const edgebat_config_t *config, const void *a,
                                 const void *b, uint32_t bytes) {
    const uint8_t sound_a = (edgebat_state_check(model, config, a, bytes) == EDGEBAT_OK) ? 1U : 0U;
    const uint8_t sound_b = (edgebat_state_check(model, config, b, bytes) == EDGEBAT_OK) ? 1U : 0U;
    const void *newest = NULL;
    if ((sound_a != 0U) && (sound_b != 0U)) {
        /* Sequence numbers may wrap around. */
        const uint32_t ahead = get32((const uint8_t *)a + 12) - get32((const uint8_t *)b + 12);
        newest = (ahead < UINT32_C(0x80000000)) ? a : b;
    } else if (sound_a != 0U) {
        newest = a;
    } else if (sound_b != 0U) {
        newest = b;
    } else {
        /* neither: a new battery */
    }
    return newest;
}
