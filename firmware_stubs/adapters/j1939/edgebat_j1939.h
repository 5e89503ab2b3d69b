/*
 * edgebat_j1939.h - a result as SAE J1939 parameter groups of a high voltage energy storage system: HVESSD1 (PGN 61584)
 * and HVESSHIST (PGN 64606).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EDGEBAT_J1939_H
#define EDGEBAT_J1939_H

#include "edgebat/edgebat_readings.h"

#ifdef __cplusplus
extern "C" {
#endif

#define EDGEBAT_J1939_HVESSD1 UINT32_C(61584)
#define EDGEBAT_J1939_HVESSD1_BYTES 8U
#define EDGEBAT_J1939_HVESSHIST UINT32_C(64606)

/**
 * Voltage and current, at bytes 5 to 8; the available powers before them are not ours. network_mA: with the sign that the
 * network wants, which public material does not state; EDGEBAT_VALID_CURRENT in readings says whether it is one.
 */
int edgebat_j1939_hvessd1(const edgebat_readings_t *readings, int32_t network_mA,
                          uint8_t data[EDGEBAT_J1939_HVESSD1_BYTES]);

/**
 * State of health, at byte 1; all further bytes say that nothing is available. bytes: of the parameter group in the edition
 * that your network uses, 1 to 1785; more than 8 go out by the transport protocol of your stack. Returns the bytes,
 * EDGEBAT_ERR_NULL or EDGEBAT_ERR_LENGTH.
 */
int edgebat_j1939_hvesshist(const edgebat_result_t *result, uint8_t *data, uint32_t bytes);

#ifdef __cplusplus
}
#endif

#endif
