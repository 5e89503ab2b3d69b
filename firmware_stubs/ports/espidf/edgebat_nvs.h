/*
 * edgebat_nvs.h - the state in ESP-IDF's non-volatile storage, which writes a new record before it forgets
 * the old one.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EDGEBAT_NVS_H
#define EDGEBAT_NVS_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Read the state, after nvs_flash_init; returns its bytes, 0 when there is none. */
uint32_t edgebat_nvs_load(void *state, uint32_t bytes);

/** Write the state: for edgebat_task_start. 0, or the error of ESP-IDF. */
int edgebat_nvs_save(const void *state, uint32_t bytes);

#ifdef __cplusplus
}
#endif

#endif
