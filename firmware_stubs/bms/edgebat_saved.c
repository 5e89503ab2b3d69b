/*
 * edgebat_saved.c - writing a battery's state, and whether bytes are one. edgebat_state.h has the layout.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "edgebat_state.h"

#include <stddef.h>

/* "EBS", and the version in the highest byte. */
#define MAGIC UINT32_C(0x00534245)
#define MAGIC_BITS UINT32_C(0x00FFFFFF)

#define CRC_OFFSET (EDGEBAT_SAVED_HEADER - EDGEBAT_STATE_CRC_BYTES)

static void put(uint8_t *at, uint32_t value, uint32_t bytes) {
    for (uint32_t i = 0U; i < bytes; i++) {
        at[i] = (uint8_t)(value >> (8U * i));
    }
}

EDGEBAT_SELDOM uint32_t edgebat_state_bytes(const edgebat_model_t *model) {
    return (model == NULL) ? 0U
                           : (EDGEBAT_SAVED_BYTES((uint32_t)model->columns, (uint32_t)model->context,
                                                  (uint32_t)model->points) +
                              edgebat_bms_cycle_bytes(model));
}

EDGEBAT_SELDOM int edgebat_state_get(edgebat_t *battery, void *buffer, uint32_t bytes) {
    if ((battery == NULL) || (buffer == NULL) || (battery->model == NULL)) {
        EDGEBAT_ASSERT(0);
        return EDGEBAT_ERR_NULL;
    }
    const edgebat_model_t *const model = battery->model;
    const uint32_t length = edgebat_state_bytes(model);
    if (bytes < length) {
        return EDGEBAT_ERR_LENGTH;
    }
    uint8_t *const saved = (uint8_t *)buffer;
    uint8_t *const points = &saved[EDGEBAT_SAVED_HEADER];
    uint8_t *const rows = &points[2U * model->points];
    const int8_t *const window = edgebat_bms_window(battery);
    battery->sequence++;
    battery->kept_use = edgebat_bms_use(battery);
    battery->parked = edgebat_bms_is_parked(battery);
    const uint32_t owner[] = {MAGIC | (EDGEBAT_STATE_VERSION << 24U),
                              length,
                              model->fingerprint,
                              battery->sequence,
                              battery->config->nominal_mAh,
                              battery->config->reference_mAh};
    for (uint32_t i = 0U; i < (sizeof owner / sizeof owner[0]); i++) {
        put(&saved[4U * i], owner[i], 4U);
    }
    edgebat_state_put(battery, saved);
    put(&saved[CRC_OFFSET], edgebat_crc32(0U, saved, CRC_OFFSET), EDGEBAT_STATE_CRC_BYTES);
    for (uint32_t i = 0U; i < model->points; i++) {
        put(&points[2U * i], battery->estimate_points[i], 2U);
    }
    for (uint32_t i = 0U; i < (uint32_t)model->columns * model->context; i++) {
        rows[i] = (edgebat_bms_is_kept(battery, i) != 0U) ? (uint8_t)window[i] : 0U;
    }
    edgebat_bms_save_cycles(battery, &rows[(uint32_t)model->columns * model->context]);
    put(&saved[length - 4U], edgebat_crc32(0U, saved, length - 4U), EDGEBAT_STATE_CRC_BYTES);
    return EDGEBAT_OK;
}

static uint8_t is_blank(const uint8_t *bytes, uint32_t length) {
    uint8_t blank = ((bytes[0] == 0U) || (bytes[0] == 0xFFU)) ? 1U : 0U;
    for (uint32_t i = 1U; i < length; i++) {
        blank = (bytes[i] == bytes[0]) ? blank : 0U;
    }
    return blank;
}

uint8_t edgebat_state_is_own(const edgebat_model_t *model, const edgebat_config_t *config,
                             const uint8_t *saved) {
    return ((edgebat_state_32(saved, 8U) == model->fingerprint) &&
            (edgebat_state_32(saved, 16U) == config->nominal_mAh) &&
            (edgebat_state_32(saved, 20U) == config->reference_mAh))
               ? 1U
               : 0U;
}

/* A state of this model has its size, and no more rows than it reads. */
static uint8_t fits(const edgebat_model_t *model, const uint8_t *saved) {
    const edgebat_layout_t *const layout = edgebat_state_layout(saved);
    const uint32_t length = (edgebat_state_bytes(model) - EDGEBAT_SAVED_HEADER) + layout->header;
    return ((edgebat_state_32(saved, 4U) == length) &&
            (edgebat_state_16(saved, layout->rows) <= model->context))
               ? 1U
               : 0U;
}

/* Whether the checksum after so many bytes is theirs. */
static uint8_t sums_up(const uint8_t *saved, uint32_t bytes) {
    return (edgebat_crc32(0U, saved, bytes) == edgebat_state_32(saved, bytes)) ? 1U : 0U;
}

/* The checksums; of another model's state that is longer than the room for this one's, the first is enough. */
static int check_sums(const edgebat_model_t *model, const uint8_t *saved, uint32_t bytes) {
    const uint32_t length = edgebat_state_32(saved, 4U);
    const uint32_t header = edgebat_state_layout(saved)->header;
    int code = EDGEBAT_OK;
    if (length < header + EDGEBAT_STATE_CRC_BYTES) {
        code = EDGEBAT_ERR_DAMAGED;
    } else if (length <= bytes) {
        code = (sums_up(saved, length - EDGEBAT_STATE_CRC_BYTES) != 0U) ? EDGEBAT_OK : EDGEBAT_ERR_DAMAGED;
    } else if ((saved[3] == 1U) || (bytes < header) || (edgebat_state_32(saved, 8U) == model->fingerprint) ||
               (sums_up(saved, header - EDGEBAT_STATE_CRC_BYTES) == 0U)) {
        code = EDGEBAT_ERR_LENGTH;
    } else {
        /* the first part is whole */
    }
    return code;
}

/* Whether a whole state says anything that cannot be, and whose it is. */
static int check_contents(const edgebat_model_t *model, const edgebat_config_t *config,
                          const uint8_t *saved) {
    const uint8_t same = (edgebat_state_32(saved, 8U) == model->fingerprint) ? 1U : 0U;
    int code = EDGEBAT_OK;
    if ((edgebat_state_is_possible(saved) == 0U) || ((same != 0U) && (fits(model, saved) == 0U))) {
        code = EDGEBAT_ERR_DAMAGED;
    } else if (edgebat_state_is_own(model, config, saved) == 0U) {
        code = EDGEBAT_INHERITED;
    } else {
        /* sound */
    }
    return code;
}

EDGEBAT_SELDOM int edgebat_state_check(const edgebat_model_t *model, const edgebat_config_t *config,
                                       const void *saved, uint32_t bytes) {
    const uint8_t *const at = (const uint8_t *)saved;
    int code = edgebat_bms_check(model, config);
    if (code != EDGEBAT_OK) {
        /* nobody could use it */
    } else if (saved == NULL) {
        code = EDGEBAT_ERR_NULL;
    } else if (bytes < EDGEBAT_STATE_LEAST) {
        code = EDGEBAT_ERR_LENGTH;
    } else if (is_blank(at, bytes) != 0U) {
        code = EDGEBAT_ERR_BLANK;
    } else if (((edgebat_state_32(at, 0U) & MAGIC_BITS) != MAGIC) || (at[3] < 1U) ||
               (at[3] > EDGEBAT_STATE_VERSIONS)) {
        code = EDGEBAT_ERR_FORMAT;
    } else {
        code = check_sums(model, at, bytes);
        code = (code == EDGEBAT_OK) ? check_contents(model, config, at) : code;
        if ((code == EDGEBAT_OK) && (edgebat_bms_cycles_are_possible(model, at, bytes) == 0U)) {
            code = EDGEBAT_ERR_DAMAGED;
        }
    }
    return code;
}
