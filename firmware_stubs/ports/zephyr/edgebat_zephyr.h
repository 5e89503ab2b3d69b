/*
 * edgebat_zephyr.h - the estimators of the cells of a battery on Zephyr, one cell unless Kconfig says more.
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

/** Cells in series that are followed, each with its own RAM and state. */
#if defined(CONFIG_EDGEBAT_CELLS)
#define EDGEBAT_ZEPHYR_CELLS CONFIG_EDGEBAT_CELLS
#else
#define EDGEBAT_ZEPHYR_CELLS 1
#endif

/**
 * Begin, or begin again with another configuration, which is copied. Loads the saved state; returns the code
 * of edgebat_init, where EDGEBAT_ERR_LENGTH, _BLANK, _FORMAT and _DAMAGED mean: as a new battery, or
 * EDGEBAT_ERR_DAMAGED of the self-test, with which the status is MODEL_CORRUPT.
 */
int edgebat_zephyr_start(const edgebat_config_t *config);

int edgebat_zephyr_push(const edgebat_sample_t *sample);

/** Without a sample for invalid_ms the status is INPUT_INVALID, whoever asks. */
int edgebat_zephyr_result(edgebat_result_t *result);

/** The same of one of several cells, from 0; EDGEBAT_ERR_LENGTH: there are not so many. */
int edgebat_zephyr_push_cell(uint32_t cell, const edgebat_sample_t *sample);
int edgebat_zephyr_result_cell(uint32_t cell, edgebat_result_t *result);

/** Write the state now, before the power is switched off on purpose. */
int edgebat_zephyr_store(void);

/*** Where the state is kept: the settings, or yours when CONFIG_EDGEBAT_SETTINGS is not set ***/

/** Read a saved state; returns the number of bytes, 0 when there is none. */
uint32_t edgebat_zephyr_load(void *state, uint32_t bytes);

/** Write a state; 0 or a negative error number, after which it is tried again later. Called on the work queue,
 * some four times per cycle. */
int edgebat_zephyr_save(const void *state, uint32_t bytes);

/** With several cells these are called instead. */
uint32_t edgebat_zephyr_load_cell(uint32_t cell, void *state, uint32_t bytes);
int edgebat_zephyr_save_cell(uint32_t cell, const void *state, uint32_t bytes);

#ifdef __cplusplus
}
#endif

#endif
