/*
 * edgebat_cia418.h - a result as objects of CiA 418, the CANopen device profile for battery modules, and as PDOs.
 *
 * The profile has no state of health. It stands in the manufacturer's part of the dictionary, with its deviation, as in the
 * batteries that send one; the index is yours to choose.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EDGEBAT_CIA418_H
#define EDGEBAT_CIA418_H

#include "edgebat/edgebat_readings.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Objects of the profile, sub-index 0. */
#define EDGEBAT_CIA418_TEMPERATURE 0x6010U /* int16, 0.125 degC, -40 to 85 degC */
#define EDGEBAT_CIA418_CHARGE 0x6050U      /* uint32, Ah that went in, ever */
#define EDGEBAT_CIA418_VOLTAGE 0x6060U     /* uint32, 1/1024 V */
#define EDGEBAT_CIA418_SOC 0x6081U         /* uint8, % */

/* The manufacturer's record, 0x2000 to 0x5FFF; its sub-indices. */
#if !defined(EDGEBAT_CIA418_RECORD)
#define EDGEBAT_CIA418_RECORD 0x4E00U
#endif
#define EDGEBAT_CIA418_SUBS 0U   /* uint8, 6 */
#define EDGEBAT_CIA418_SOH 1U    /* uint16, 0.01 % */
#define EDGEBAT_CIA418_SIGMA 2U  /* uint16, its standard deviation, 0.01 % */
#define EDGEBAT_CIA418_RUL 3U    /* uint16, cycles to the end of life */
#define EDGEBAT_CIA418_STATUS 4U /* uint8, edgebat_status_t */
#define EDGEBAT_CIA418_SOURCE 5U /* uint8, edgebat_source_t */
#define EDGEBAT_CIA418_EFC 6U    /* uint16, quarters of an equivalent full cycle */

/* What a server answers to an upload of an object that is not known, or not here. */
#define EDGEBAT_CIA418_NO_DATA UINT32_C(0x08000024)
#define EDGEBAT_CIA418_NO_OBJECT UINT32_C(0x06020000)

#define EDGEBAT_CIA418_OBJECT_BYTES 4U
#define EDGEBAT_CIA418_PDO_BYTES 8U

/**
 * The value of one object, lowest byte first. Returns its bytes; 0: not known now, answer EDGEBAT_CIA418_NO_DATA;
 * EDGEBAT_ERR_FORMAT: not here, EDGEBAT_CIA418_NO_OBJECT; or EDGEBAT_ERR_NULL.
 */
int edgebat_cia418_object(const edgebat_result_t *result, const edgebat_readings_t *readings, uint16_t index,
                          uint8_t sub, uint8_t data[EDGEBAT_CIA418_OBJECT_BYTES]);

/**
 * The record's first five values in a row, 8 bytes: for a TPDO mapped to 01, 02, 03 (16 bits), 04 and 05 (8 bits). What is
 * not known is 0xFFFF there.
 */
int edgebat_cia418_health(const edgebat_result_t *result, uint8_t data[EDGEBAT_CIA418_PDO_BYTES]);

/** TPDO1 of the profile: temperature, then your battery status (6000h), 3 bytes. 0: do not send, there is no temperature. */
int edgebat_cia418_tpdo1(const edgebat_readings_t *readings, uint8_t battery_status,
                         uint8_t data[EDGEBAT_CIA418_PDO_BYTES]);

#ifdef __cplusplus
}
#endif

#endif
