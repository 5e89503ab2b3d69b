/*
 * edgebat_forecast_begin.c - the start of a forecaster, and its history as bytes, lowest byte first.
 *
 *    0 magic, version        4 length       8 fingerprint     12 sequence
 *   16 source               20 cycle of the newest value      24 covered cycles
 *   28 history, oldest first, zero where not covered; CRC-32
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "edgebat_bms.h"
#include "edgebat_forecast_bms.h"

#include <stddef.h>

/* "EBF", version 1 */
#define FORECAST_MAGIC UINT32_C(0x01464245)

/* With these limits no sum and no product below leaves its type. */
#define MOST_CYCLES 4096U
#define MOST_GAP_CYCLES 1024U

static int check_model(const edgebat_forecast_model_t *model) {
    int code = EDGEBAT_OK;
    if (model == NULL) {
        code = EDGEBAT_ERR_NULL;
    } else if ((model->columns < 1U) || (model->cycles > MOST_CYCLES) || (model->least_cycles < 1U) ||
               (model->least_cycles > model->cycles) || ((model->cycles % model->columns) != 0U) ||
               (model->max_gap < 1U) || (model->max_gap > MOST_GAP_CYCLES) || (model->slices < 1U) ||
               (model->slices > UINT16_MAX - 2U) || (model->points > EDGEBAT_POINTS_MAX) ||
               ((model->scratch_bytes % 4U) != 0U) || (model->low_ppm == NULL) || (model->high_ppm == NULL) ||
               (model->quantize == NULL) || (model->run_slice == NULL) || (model->read == NULL)) {
        code = EDGEBAT_ERR_MODEL;
    } else {
        /* usable */
    }
    return code;
}

static void write_number(uint8_t *at, uint32_t value, uint32_t bytes) {
    for (uint32_t i = 0U; i < bytes; i++) {
        at[i] = (uint8_t)(value >> (8U * i));
    }
}

static uint32_t read_number(const uint8_t *at, uint32_t bytes) {
    uint32_t value = 0U;
    for (uint32_t i = bytes; i != 0U; i--) {
        value = (value << 8U) | at[i - 1U];
    }
    return value;
}

uint32_t edgebat_forecast_state_bytes(const edgebat_forecast_model_t *model) {
    return (model == NULL) ? 0U : EDGEBAT_FORECAST_SAVED_BYTES((uint32_t)model->cycles);
}

int edgebat_forecast_state_get(edgebat_forecast_t *forecast, void *buffer, uint32_t bytes) {
    if ((forecast == NULL) || (buffer == NULL) || (forecast->model == NULL)) {
        EDGEBAT_ASSERT(0);
        return EDGEBAT_ERR_NULL;
    }
    const edgebat_forecast_model_t *const model = forecast->model;
    const uint32_t length = edgebat_forecast_state_bytes(model);
    if (bytes < length) {
        return EDGEBAT_ERR_LENGTH;
    }
    uint8_t *const at = (uint8_t *)buffer;
    const uint16_t *const history = edgebat_forecast_history(forecast);
    forecast->sequence++;
    write_number(&at[0], FORECAST_MAGIC, 4U);
    write_number(&at[4], length, 4U);
    write_number(&at[8], model->fingerprint, 4U);
    write_number(&at[12], forecast->sequence, 4U);
    write_number(&at[16], forecast->source, 4U);
    write_number(&at[20], forecast->newest, 4U);
    write_number(&at[24], forecast->covered, 4U);
    for (uint32_t i = 0U; i < model->cycles; i++) {
        write_number(&at[EDGEBAT_FORECAST_SAVED_HEADER + (2U * i)], (i < forecast->covered) ? history[i] : 0U,
                     2U);
    }
    write_number(&at[length - 4U], edgebat_crc32(0U, buffer, length - 4U), 4U);
    return EDGEBAT_OK;
}

static int never_written(const uint8_t *bytes, uint32_t length) {
    int blank = 0;
    if ((bytes[0] == 0U) || (bytes[0] == 0xFFU)) {
        blank = 1;
    }
    for (uint32_t i = 1U; i < length; i++) {
        blank = (bytes[i] == bytes[0]) ? blank : 0;
    }
    return blank;
}

/* What a sound writer never writes, whatever the checksum says. */
static int history_is_consistent(const edgebat_forecast_model_t *model, const uint8_t *saved) {
    const uint32_t newest = read_number(&saved[20], 4U);
    const uint32_t covered = read_number(&saved[24], 4U);
    /* Every covered cycle has its number, and the first one is 1. */
    int sound = 0;
    if ((covered <= model->cycles) && (newest >= covered) && ((covered != 0U) || (newest == 0U))) {
        sound = 1;
    }
    for (uint32_t i = 0U; i < model->cycles; i++) {
        const uint32_t cpct = read_number(&saved[EDGEBAT_FORECAST_SAVED_HEADER + (2U * i)], 2U);
        const uint32_t least = (i < covered) ? (uint32_t)EDGEBAT_LEAST_SOH : 0U;
        const uint32_t most = (i < covered) ? (uint32_t)EDGEBAT_MOST_SOH : 0U;
        sound = ((cpct >= least) && (cpct <= most)) ? sound : 0;
    }
    return sound;
}

int edgebat_forecast_state_check(const edgebat_forecast_model_t *model, uint32_t source, const void *saved,
                                 uint32_t bytes) {
    int code = check_model(model);
    if ((code == EDGEBAT_OK) && (saved == NULL)) {
        code = EDGEBAT_ERR_NULL;
    }
    if (code == EDGEBAT_OK) {
        const uint8_t *const at = (const uint8_t *)saved;
        const uint32_t length = (bytes < EDGEBAT_FORECAST_SAVED_HEADER) ? 0U : read_number(&at[4], 4U);
        if (bytes < EDGEBAT_FORECAST_SAVED_HEADER) {
            code = EDGEBAT_ERR_LENGTH;
        } else if (never_written(at, bytes) != 0) {
            code = EDGEBAT_ERR_BLANK;
        } else if (read_number(at, 4U) != FORECAST_MAGIC) {
            code = EDGEBAT_ERR_FORMAT;
        } else if (length > bytes) {
            code = EDGEBAT_ERR_LENGTH;
        } else if ((length < EDGEBAT_FORECAST_SAVED_HEADER + 4U) ||
                   (edgebat_crc32(0U, saved, length - 4U) != read_number(&at[length - 4U], 4U))) {
            code = EDGEBAT_ERR_DAMAGED;
        } else if ((length != edgebat_forecast_state_bytes(model)) ||
                   (read_number(&at[8], 4U) != model->fingerprint) || (read_number(&at[16], 4U) != source)) {
            code = EDGEBAT_ERR_OTHER;
        } else if (history_is_consistent(model, at) == 0) {
            code = EDGEBAT_ERR_DAMAGED;
        } else {
            /* sound */
        }
    }
    return code;
}

const void *edgebat_forecast_state_newest(const edgebat_forecast_model_t *model, uint32_t source,
                                          const void *a, const void *b, uint32_t bytes) {
    const int sound_a = edgebat_forecast_state_check(model, source, a, bytes);
    const int sound_b = edgebat_forecast_state_check(model, source, b, bytes);
    const void *newest = (sound_a == EDGEBAT_OK) ? a : NULL;
    if ((sound_a == EDGEBAT_OK) && (sound_b == EDGEBAT_OK)) {
        /* Sequence numbers may wrap around. */
        const uint32_t ahead =
            read_number((const uint8_t *)a + 12, 4U) - read_number((const uint8_t *)b + 12, 4U);
        newest = (ahead < UINT32_C(0x80000000)) ? a : b;
    } else if (sound_b == EDGEBAT_OK) {
        newest = b;
    } else {
        /* a, or neither: a new battery */
    }
    return newest;
}

static void take_history(edgebat_forecast_t *forecast, const uint8_t *saved) {
    uint16_t *const history = edgebat_forecast_history(forecast);
    forecast->sequence = read_number(&saved[12], 4U);
    forecast->newest = read_number(&saved[20], 4U);
    forecast->now = forecast->newest;
    forecast->covered = (uint16_t)read_number(&saved[24], 4U);
    for (uint32_t i = 0U; i < forecast->covered; i++) {
        history[i] = (uint16_t)read_number(&saved[EDGEBAT_FORECAST_SAVED_HEADER + (2U * i)], 2U);
    }
    edgebat_forecast_renew(forecast);
}

int edgebat_forecast_init(edgebat_forecast_t *forecast, const edgebat_forecast_model_t *model,
                          uint32_t source, void *work, const void *saved, uint32_t saved_bytes) {
    if ((forecast == NULL) || (work == NULL)) {
        EDGEBAT_ASSERT(0);
        return EDGEBAT_ERR_NULL;
    }
    forecast->model = NULL; /* until all is checked, the other functions refuse this forecaster */
    if (((uintptr_t)work & 3U) != 0U) {
        return EDGEBAT_ERR_ALIGN;
    }
    int code = check_model(model);
    if (code != EDGEBAT_OK) {
        return code;
    }
    uint8_t *const bytes = (uint8_t *)forecast;
    for (uint32_t i = 0U; i < sizeof(edgebat_forecast_t); i++) {
        bytes[i] = 0U;
    }
    forecast->model = model;
    forecast->source = source;
    forecast->work = (uint8_t *)work;
    if (saved != NULL) {
        code = edgebat_forecast_state_check(model, source, saved, saved_bytes);
        if (code == EDGEBAT_OK) {
            take_history(forecast, (const uint8_t *)saved);
        }
    }
    return code;
}
