/*
 * edgebat_zephyr.h - the estimator of one battery on Zephyr.
 *
 *     static edgebat_config_t config;
 *     edgebat_port_config(&config);          values of Kconfig
 *     edgebat_zephyr_start(&config);         loads the saved state
 *
 *     edgebat_zephyr_push(&sample);          every tick, in the thread that measures
 *     edgebat_zephyr_result(&result);        in any thread
 *
 * The model runs slice by slice on a work queue of low priority of its own; a mutex with priority inheritance
 * keeps callers apart, so push and result wait for one slice at most. Not for interrupts.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EDGEBAT_ZEPHYR_H
#define EDGEBAT_ZEPHYR_H

#include "edgebat/edgebat.h"
#include "edgebat_port.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Begin, or begin again with another configuration, which is copied. Loads the saved state; returns the code
 * of edgebat_init, where EDGEBAT_ERR_BLANK, _FORMAT, _DAMAGED and _OTHER mean: as a new battery, or
 * EDGEBAT_ERR_DAMAGED of the self-test, with which the status is MODEL_CORRUPT.
 */
int edgebat_zephyr_start(const edgebat_config_t *config);

int edgebat_zephyr_push(const edgebat_sample_t *sample);
int edgebat_zephyr_result(edgebat_result_t *result);

/** Write the state now, before the power is switched off on purpose. */
int edgebat_zephyr_store(void);

/*** Where the state is kept: the settings, or yours when CONFIG_EDGEBAT_SETTINGS is not set ***/

/** Read a saved state; returns the number of bytes, 0 when there is none. */
uint32_t edgebat_zephyr_load(void *state, uint32_t bytes);

/** Write a state; 0 or a negative error number. Called on the work queue, once or twice per charge. */
int edgebat_zephyr_save(const void *state, uint32_t bytes);

#ifdef __cplusplus
}
#endif

#endif
