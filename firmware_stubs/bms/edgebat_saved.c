/*
 * edgebat_saved.c - writing a battery's state, and whether bytes are one. edgebat_state.h has the layout.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "edgebat_state.h"

#include <stddef.h>

static const uint8_t magic[3] = {0x45U, 0x42U, 0x53U};

#define CRC_OFFSET (EDGEBAT_SAVED_HEADER - 4U)
#define MOST_SIGNED ((UINT64_C(1) << 63U) - 1U)

static void put(uint8_t **at, uint64_t value, uint32_t bytes) {
    for (uint32_t i = 0U; i < bytes; i++) {
        **at = (uint8_t)(value >> (8U * i));
        (*at)++;
    }
}

uint32_t edgebat_state_bytes(const edgebat_model_t *model) {
    return (model == NULL) ? 0U
                           : EDGEBAT_SAVED_BYTES((uint32_t)model->columns, (uint32_t)model->context,
                                                 (uint32_t)model->points);
}

static uint64_t value_of(const edgebat_t *battery, const edgebat_member_t *member) {
    const void *const at = &((const uint8_t *)battery)[member->offset];
    uint64_t value;
    switch (member->bytes) {
    case 1U:
        value = *(const uint8_t *)at;
        break;
    case 2U:
        value = *(const uint16_t *)at;
        break;
    case 4U:
        value = *(const uint32_t *)at;
        break;
    default:
        value = *(const uint64_t *)at;
        break;
    }
    return value;
}

static void put_header(const edgebat_t *battery, uint8_t **at) {
    put(at, magic[0], 1U);
    put(at, magic[1], 1U);
    put(at, magic[2], 1U);
    put(at, EDGEBAT_STATE_VERSION, 1U);
    put(at, edgebat_state_bytes(battery->model), 4U);
    put(at, battery->model->fingerprint, 4U);
    put(at, battery->sequence, 4U);
    put(at, battery->config->nominal_mAh, 4U);
    put(at, battery->config->reference_mAh, 4U);
    for (uint32_t i = 0U; i < EDGEBAT_MEMBERS; i++) {
        put(at, value_of(battery, &edgebat_state_members[i]), edgebat_state_members[i].bytes);
    }
    for (uint32_t by = 0U; by < EDGEBAT_EVIDENCE; by++) {
        put(at, battery->evidence[by].at_efc, 2U);
        put(at, battery->evidence[by].at_4h, 2U);
        put(at, battery->evidence[by].cpct, 2U);
        put(at, battery->evidence[by].sigma_cpct, 2U);
    }
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
    battery->kept_cpct = battery->published_cpct;
    battery->kept_efc = battery->efc;
    battery->parked = ((battery->rest_ms != 0U) && (battery->anchor != EDGEBAT_ANCHOR_NONE)) ? 1U : 0U;
    put_header(battery, &at);
    put(&at, edgebat_crc32(0U, buffer, CRC_OFFSET), 4U);
    for (uint32_t i = 0U; i < model->points; i++) {
        put(&at, battery->estimate_points[i], 2U);
    }
    for (uint32_t i = 0U; i < (uint32_t)model->columns * model->context; i++) {
        put(&at, (i < (uint32_t)model->columns * battery->rows) ? (uint8_t)window[i] : 0U, 1U);
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

static int is_soh_if_any(uint16_t cpct, uint32_t least) {
    return (cpct == EDGEBAT_UNKNOWN) || (is_percentage(cpct, least) != 0);
}

uint8_t edgebat_state_is_own(const edgebat_model_t *model, const edgebat_config_t *config,
                             const uint8_t *saved) {
    return ((edgebat_state_32(saved, 8U) == model->fingerprint) &&
            (edgebat_state_32(saved, 16U) == config->nominal_mAh) &&
            (edgebat_state_32(saved, 20U) == config->reference_mAh))
               ? 1U
               : 0U;
}

/* What a sound writer never writes, whatever the checksum says: version 1. */
static int is_consistent_old(const uint8_t *saved) {
    const uint32_t row_cycle = edgebat_state_32(saved, 48U);
    return (row_cycle <= edgebat_state_32(saved, 24U)) && (edgebat_state_32(saved, 52U) <= row_cycle) &&
           (edgebat_state_number(saved, 36U, 8U) <= edgebat_state_number(saved, 28U, 8U)) &&
           (saved[66] <= 1U) && (saved[67] <= 1U) && (saved[68] <= 1U) &&
           (edgebat_state_number(saved, 69U, 3U) == 0U) &&
           (is_soh_if_any(edgebat_state_16(saved, 56U), 0U)) &&
           (is_soh_if_any(edgebat_state_16(saved, 58U), 2000U)) &&
           ((saved[66] == 0U) ||
            (is_percentage(edgebat_state_16(saved, 60U), (uint32_t)EDGEBAT_LEAST_SOH) != 0));
}

static int is_evidence(const uint8_t *evidence, uint32_t efc, uint32_t fours, uint32_t least) {
    return (edgebat_state_16(evidence, 0U) <= efc) && (edgebat_state_16(evidence, 2U) <= fours) &&
           (is_soh_if_any(edgebat_state_16(evidence, 4U), least)) &&
           (edgebat_state_16(evidence, 6U) <= EDGEBAT_HUNDRED_PERCENT);
}

static int are_flags(const uint8_t *saved) {
    return (saved[102] <= 1U) && (saved[103] <= 1U) && (saved[104] <= EDGEBAT_ANCHOR_EMPTY) &&
           (saved[107] <= 1U);
}

/* The same: version 2. */
static int is_consistent(const uint8_t *saved) {
    const uint32_t row_cycle = edgebat_state_32(saved, 56U);
    const uint32_t clock_s = edgebat_state_32(saved, 52U);
    const uint32_t anchor_ms = edgebat_state_32(saved, 68U);
    const uint32_t efc = edgebat_bms_efc(edgebat_state_32(saved, 16U), edgebat_state_number(saved, 28U, 8U));
    const uint64_t count = edgebat_state_number(saved, 44U, 8U);
    const uint64_t counted = (count > MOST_SIGNED) ? (~count + 1U) : count;
    int sound = (row_cycle <= edgebat_state_32(saved, 24U)) && (edgebat_state_32(saved, 60U) <= row_cycle) &&
                (edgebat_state_32(saved, 64U) <= clock_s) && (edgebat_state_16(saved, 96U) <= efc) &&
                (edgebat_state_number(saved, 36U, 8U) <= MOST_SIGNED) &&
                (counted <= ((uint64_t)edgebat_state_32(saved, 20U) * (3U * EDGEBAT_PER_MAH))) &&
                (anchor_ms <= EDGEBAT_ANCHOR_MS) && (edgebat_state_32(saved, 72U) <= anchor_ms) &&
                (is_soh_if_any(edgebat_state_16(saved, 84U), 0U)) &&
                (is_percentage(edgebat_state_16(saved, 86U), 0U) != 0) && (are_flags(saved) != 0);
    for (uint32_t by = 0U; by < EDGEBAT_EVIDENCE; by++) {
        const uint32_t least = (by == EDGEBAT_BY_WINDOW) ? 0U : (uint32_t)EDGEBAT_LEAST_SOH;
        if (is_evidence(&saved[EDGEBAT_STATE_EVIDENCE + (8U * by)], efc, clock_s / EDGEBAT_S_PER_4H, least) ==
            0) {
            sound = 0;
        }
    }
    return sound;
}

/* All that is independent of the version and of the model. */
static int is_possible(const uint8_t *saved) {
    const uint32_t nominal = edgebat_state_32(saved, 16U);
    const uint32_t reference = edgebat_state_32(saved, 20U);
    return (nominal >= 10U) && (nominal <= UINT32_C(2000000)) && (reference >= 10U) &&
           (reference <= UINT32_C(2000000)) && (edgebat_state_32(saved, 24U) >= 1U) &&
           (edgebat_state_number(saved, 28U, 8U) <= (MOST_SIGNED + (MOST_SIGNED / 2U))) &&
           (((saved[3] == EDGEBAT_STATE_VERSION) ? is_consistent(saved) : is_consistent_old(saved)) != 0);
}

/* A state of this model has its size, and no more rows than it reads. */
static int fits(const edgebat_model_t *model, const uint8_t *saved) {
    const int old = (saved[3] != EDGEBAT_STATE_VERSION) ? 1 : 0;
    const uint32_t shorter = (old != 0) ? (EDGEBAT_SAVED_HEADER - EDGEBAT_STATE_OLD_HEADER) : 0U;
    return (edgebat_state_32(saved, 4U) == (edgebat_state_bytes(model) - shorter)) &&
           (edgebat_state_16(saved, (old != 0) ? 64U : 90U) <= model->context);
}

/* The checksums; of a state that is longer than the room for this model's, the first one is enough. */
static int check_sums(const edgebat_model_t *model, const uint8_t *saved, uint32_t bytes) {
    const uint32_t length = edgebat_state_32(saved, 4U);
    const uint32_t header =
        (saved[3] == EDGEBAT_STATE_VERSION) ? EDGEBAT_SAVED_HEADER : EDGEBAT_STATE_OLD_HEADER;
    int code = EDGEBAT_OK;
    if (length < header + 4U) {
        code = EDGEBAT_ERR_DAMAGED;
    } else if (length <= bytes) {
        code = (edgebat_crc32(0U, saved, length - 4U) == edgebat_state_32(saved, length - 4U))
                   ? EDGEBAT_OK
                   : EDGEBAT_ERR_DAMAGED;
    } else if ((saved[3] != EDGEBAT_STATE_VERSION) || (bytes < header) ||
               (edgebat_state_32(saved, 8U) == model->fingerprint) ||
               (edgebat_crc32(0U, saved, CRC_OFFSET) != edgebat_state_32(saved, CRC_OFFSET))) {
        code = EDGEBAT_ERR_LENGTH;
    } else {
        /* the first part is whole */
    }
    return code;
}

int edgebat_state_check(const edgebat_model_t *model, const edgebat_config_t *config, const void *saved,
                        uint32_t bytes) {
    int code = edgebat_bms_check(model, config);
    if ((code == EDGEBAT_OK) && (saved == NULL)) {
        code = EDGEBAT_ERR_NULL;
    }
    if (code == EDGEBAT_OK) {
        const uint8_t *const at = (const uint8_t *)saved;
        if (bytes < EDGEBAT_STATE_OLD_HEADER) {
            code = EDGEBAT_ERR_LENGTH;
        } else if (is_blank(at, bytes) != 0) {
            code = EDGEBAT_ERR_BLANK;
        } else if ((at[0] != magic[0]) || (at[1] != magic[1]) || (at[2] != magic[2]) || (at[3] < 1U) ||
                   (at[3] > EDGEBAT_STATE_VERSION)) {
            code = EDGEBAT_ERR_FORMAT;
        } else {
            code = check_sums(model, at, bytes);
        }
        if (code == EDGEBAT_OK) {
            const uint8_t own = (edgebat_state_32(at, 8U) == model->fingerprint) ? 1U : 0U;
            if ((is_possible(at) == 0) || ((own != 0U) && (fits(model, at) == 0))) {
                code = EDGEBAT_ERR_DAMAGED;
            } else if (edgebat_state_is_own(model, config, at) == 0U) {
                code = EDGEBAT_INHERITED;
            } else {
                /* sound */
            }
        }
    }
    return code;
}
