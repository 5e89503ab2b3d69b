/*
 * edgebat_nvs.c - namespace "edgebat", key "state".
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "edgebat_nvs.h"

#include "nvs.h"

#include <stddef.h>

#define NAMESPACE "edgebat"
#define KEY "state"

uint32_t edgebat_nvs_load(void *state, uint32_t bytes) {
    nvs_handle_t handle;
    size_t length = bytes;
    uint32_t found = 0U;
    if (nvs_open(NAMESPACE, NVS_READONLY, &handle) == ESP_OK) {
        if (nvs_get_blob(handle, KEY, state, &length) == ESP_OK) {
            found = (uint32_t)length;
        }
        nvs_close(handle);
    }
    return found;
}

int edgebat_nvs_save(const void *state, uint32_t bytes) {
    nvs_handle_t handle;
    esp_err_t code = nvs_open(NAMESPACE, NVS_READWRITE, &handle);
    if (code == ESP_OK) {
        code = nvs_set_blob(handle, KEY, state, bytes);
        if (code == ESP_OK) {
            code = nvs_commit(handle);
        }
        nvs_close(handle);
    }
    return (int)code;
}
