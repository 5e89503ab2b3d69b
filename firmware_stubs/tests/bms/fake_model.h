/*
 * fake_model.h - a model that needs no network: three charges of four increments, answered in three slices.
 * SOH in 0.01 % is the mean input plus 10000, RUL 100 cycles more than it, the points follow SOH downwards. With
 * EDGEBAT_ANY_WINDOW it reads windows of 0.1 V from 3.60, 3.65, ... 4.05 V on, at most 20 cycles old.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EDGEBAT_TESTS_FAKE_MODEL_H
#define EDGEBAT_TESTS_FAKE_MODEL_H

#include "edgebat/edgebat.h"

#include <stddef.h>

#define FAKE_INCREMENTS 4U
#define FAKE_CONTEXT 3U
#define FAKE_POINTS 2U
#define FAKE_SCRATCH 8U
#define FAKE_OUTPUT_BYTES 8U
#if EDGEBAT_ANY_WINDOW
#define FAKE_COLUMNS (FAKE_INCREMENTS + 2U)
#define FAKE_WORK_BYTES EDGEBAT_ANY_WORK_BYTES(FAKE_SCRATCH, FAKE_COLUMNS, FAKE_OUTPUT_BYTES, FAKE_CONTEXT)
#define FAKE_SAVED_BYTES EDGEBAT_SAVED_BYTES(FAKE_COLUMNS + 2U, FAKE_CONTEXT, FAKE_POINTS)
#define FAKE_LABELS(start, age) , (start), (age)
#else
#define FAKE_COLUMNS FAKE_INCREMENTS
#define FAKE_WORK_BYTES EDGEBAT_WORK_BYTES(FAKE_SCRATCH, FAKE_COLUMNS, FAKE_OUTPUT_BYTES, FAKE_CONTEXT)
#define FAKE_SAVED_BYTES EDGEBAT_SAVED_BYTES(FAKE_COLUMNS, FAKE_CONTEXT, FAKE_POINTS)
#define FAKE_LABELS(start, age)
#endif

/* What the self-test says, and what a slice says; tests change them. */
static int fake_selftest_code = EDGEBAT_OK;
static int fake_slice_code = EDGEBAT_OK;

static const int32_t fake_level_uV[FAKE_INCREMENTS + 1U] = {3600000, 3625000, 3650000, 3675000, 3700000};
static const int32_t fake_low_ppm[FAKE_COLUMNS] = {50000, 50000, 50000, 50000 FAKE_LABELS(3600, 0)};
static const int32_t fake_high_ppm[FAKE_COLUMNS] = {100000, 100000, 100000, 100000 FAKE_LABELS(4050, 20)};

static void fake_quantize(const int32_t *ppm, int8_t *row) {
    for (uint32_t i = 0; i < FAKE_INCREMENTS; i++) {
        const int32_t q = ppm[i] / 1000 - 75;
        row[i] = (int8_t)((q > 127) ? 127 : ((q < -128) ? -128 : q));
    }
#if EDGEBAT_ANY_WINDOW
    row[FAKE_INCREMENTS] = (int8_t)((ppm[FAKE_INCREMENTS] != 0) ? (ppm[FAKE_INCREMENTS] - 3800) / 2 : -128);
    row[FAKE_INCREMENTS + 1U] = (int8_t)ppm[FAKE_INCREMENTS + 1U];
#endif
}

static int fake_run_slice(uint32_t slice, const int8_t *window, void *output, void *scratch) {
    int32_t *const sums = (int32_t *)scratch;
    int32_t *const y = (int32_t *)output;
    if (slice == 0U) {
        sums[0] = 0;
        sums[1] = 0;
        for (uint32_t i = 0; i < FAKE_COLUMNS * FAKE_CONTEXT; i++) {
            sums[i % 2U] += window[i];
        }
    } else if (slice == 1U) {
        sums[0] += sums[1];
    } else {
        y[0] = sums[0] / (int32_t)(FAKE_COLUMNS * FAKE_CONTEXT);
        y[1] = 100 + y[0];
    }
    return fake_slice_code;
}

static int32_t fake_read(const void *output, uint32_t what) {
    const int32_t *const y = (const int32_t *)output;
    return (what == EDGEBAT_READ_SOH)   ? 10000 + y[0]
           : (what == EDGEBAT_READ_RUL) ? y[1]
                                        : 10000 + y[0] - 100 * ((int32_t)what - 1);
}

static int fake_selftest(void *output, void *scratch) {
    for (uint32_t i = 0; i < FAKE_OUTPUT_BYTES; i++) {
        ((uint8_t *)output)[i] = 0xEEU;
        ((uint8_t *)scratch)[i] = 0xEEU;
    }
    return fake_selftest_code;
}

static const edgebat_model_t fake_model = {
    "fake",
    UINT32_C(0x12345678),
    UINT32_C(0x9ABCDEF0),
    12U, /* multiply-accumulates */
    fake_level_uV,
    fake_low_ppm,
    fake_high_ppm,
    FAKE_INCREMENTS,
    FAKE_COLUMNS, /* it does not read the rate */
    FAKE_CONTEXT,
    3U, /* slices */
    4U, /* max_gap */
    FAKE_POINTS,
    20U,   /* horizon */
    8000U, /* end of life */
    120U,  /* sigma */
    0,     /* 0 to 45 degC */
    450,
    FAKE_OUTPUT_BYTES,
    FAKE_SCRATCH,
    &fake_quantize,
    &fake_run_slice,
    &fake_read,
    &fake_selftest,
    NULL,
    0U
#if EDGEBAT_ANY_WINDOW
    ,
    10U, /* starts */
    50U, /* from one to the next, mV */
    2U,  /* where a window ends the next but one begins */
    20U  /* max_age */
#endif
};

#endif
