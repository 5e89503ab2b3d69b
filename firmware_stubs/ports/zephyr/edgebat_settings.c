/*
 * edgebat_settings.c - the states under the keys "edgebat/state", "edgebat/state1" and so on of Zephyr's
 * settings. Their backends write a new record before they forget the old one, so one key survives a power cut.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "edgebat_zephyr.h"

#include <errno.h>
#include <zephyr/settings/settings.h>

#define TREE "edgebat"
#define LEAF "state"
#define KEY_BYTES 16U

static uint8_t loaded[EDGEBAT_PORT_SAVED_BYTES];
static uint32_t loaded_bytes;
static char wanted[KEY_BYTES];

/** `start` and, from the second cell on, its number. */
static void name_of(uint32_t cell, const char *start, char *name) {
    uint32_t at = 0U;
    for (; start[at] != '\0'; at++) {
        name[at] = start[at];
    }
    if (cell >= 10U) {
        name[at] = (char)('0' + (cell / 10U));
        at++;
    }
    if (cell != 0U) {
        name[at] = (char)('0' + (cell % 10U));
        at++;
    }
    name[at] = '\0';
}

/* Called for every key below TREE while the settings are loaded. A state that is longer than this model's, of
 * another model, is read as far as there is room: its first part is what may be inherited. */
static int take(const char *name, size_t length, settings_read_cb read, void *argument) {
    int code = -ENOENT;
    if (settings_name_steq(name, wanted, NULL) != 0) {
        (void)length;
        const ssize_t got = read(argument, loaded, sizeof(loaded));
        loaded_bytes = (got > 0) ? (uint32_t)got : 0U;
        code = (got < 0) ? (int)got : 0;
    }
    return code;
}

SETTINGS_STATIC_HANDLER_DEFINE(edgebat, TREE, NULL, take, NULL, NULL);

uint32_t edgebat_zephyr_load_cell(uint32_t cell, void *state, uint32_t bytes) {
    loaded_bytes = 0U;
    name_of(cell, LEAF, wanted);
    if ((settings_subsys_init() != 0) || (settings_load_subtree(TREE) != 0) || (loaded_bytes > bytes)) {
        loaded_bytes = 0U;
    }
    for (uint32_t i = 0U; i < loaded_bytes; i++) {
        ((uint8_t *)state)[i] = loaded[i];
    }
    return loaded_bytes;
}

int edgebat_zephyr_save_cell(uint32_t cell, const void *state, uint32_t bytes) {
    char name[KEY_BYTES];
    name_of(cell, TREE "/" LEAF, name);
    return settings_save_one(name, state, bytes);
}

uint32_t edgebat_zephyr_load(void *state, uint32_t bytes) {
    return edgebat_zephyr_load_cell(0U, state, bytes);
}

int edgebat_zephyr_save(const void *state, uint32_t bytes) {
    return edgebat_zephyr_save_cell(0U, state, bytes);
}
