/*
 * edgebat_forecast_bms.h - what the files of the forecaster share.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EDGEBAT_FORECAST_BMS_H
#define EDGEBAT_FORECAST_BMS_H

#include "edgebat/edgebat_forecast.h"

/* The history, oldest first: `covered` values of 0.01 %. */
uint16_t *edgebat_forecast_history(const edgebat_forecast_t *forecast);

/* Whether this can be a state of health, 0.01 %. */
uint8_t edgebat_forecast_is_soh(int32_t cpct);

/* The history has changed: the model has to be asked again, once it is long enough. */
void edgebat_forecast_renew(edgebat_forecast_t *forecast);

#endif
