/*
 * edgebat_settings.c - the state under the key "edgebat/state" of Zephyr's settings. Their backends write a
 * new record before they forget the old one, so one key survives a power cut.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "edgebat_zephyr.h"

#include <errno.h>
#include <zephyr/settings/settings.h>

#define TREE "edgebat"
#define LEAF "state"

static uint8_t loaded[EDGEBAT_PORT_SAVED_BYTES];
static uint32_t loaded_bytes;

/* Called for every key below TREE while the settings are loaded. */
static int take(const char *name, size_t length, settings_read_cb read, void *argument) {
    int code = -ENOENT;
    if (settings_name_steq(name, LEAF, NULL) != 0) {
        const ssize_t got = (length <= sizeof(loaded)) ? read(argument, loaded, sizeof(loaded)) : -EINVAL;
        loaded_bytes = (got > 0) ? (uint32_t)got : 0U;
        code = (got < 0) ? (int)got : 0;
    }
    return code;
}

SETTINGS_STATIC_HANDLER_DEFINE(edgebat, TREE, NULL, take, NULL, NULL);

uint32_t edgebat_zephyr_load(void *state, uint32_t bytes) {
    loaded_bytes = 0U;
    if ((settings_subsys_init() != 0) || (settings_load_subtree(TREE) != 0) || (loaded_bytes > bytes)) {
        loaded_bytes = 0U;
    }
    for (uint32_t i = 0U; i < loaded_bytes; i++) {
        ((uint8_t *)state)[i] = loaded[i];
    }
    return loaded_bytes;
}

int edgebat_zephyr_save(const void *state, uint32_t bytes) {
    return settings_save_one(TREE "/" LEAF, state, bytes);
}
