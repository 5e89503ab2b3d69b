/*
 * fake_trend.h - a forecast model that needs no network: six cycles in two rows of three, answered in two slices.
 * The history goes on as it went over the window.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EDGEBAT_TESTS_FAKE_TREND_H
#define EDGEBAT_TESTS_FAKE_TREND_H

#include "edgebat/edgebat_forecast.h"

#include <stddef.h>

#define TREND_CYCLES 6U
#define TREND_COLUMNS 3U
#define TREND_LEAST 4U
#define TREND_MAX_GAP 3U
#define TREND_SCRATCH 8U
#define TREND_OUTPUT_BYTES 4U
#define TREND_WORK_BYTES                                                                                     \
    EDGEBAT_FORECAST_WORK_BYTES(TREND_SCRATCH, TREND_COLUMNS, TREND_OUTPUT_BYTES, TREND_CYCLES)
#define TREND_SAVED_BYTES EDGEBAT_FORECAST_SAVED_BYTES(TREND_CYCLES)

static int trend_selftest_code = EDGEBAT_OK;
static int trend_slice_code = EDGEBAT_OK;

/* Changes of at most 5 % over the window. */
static const int32_t trend_low_ppm[TREND_COLUMNS] = {-50000, -50000, -50000};
static const int32_t trend_high_ppm[TREND_COLUMNS] = {50000, 50000, 50000};

static void trend_quantize(const int32_t *ppm, int32_t last_ppm, int8_t *row) {
    for (uint32_t i = 0; i < TREND_COLUMNS; i++) {
        row[i] = (int8_t)((ppm[i] - last_ppm) / 400);
    }
}

static int trend_run_slice(uint32_t slice, const int8_t *window, void *output, void *scratch) {
    if (slice == 0U) {
        *(int32_t *)scratch = window[0];
    } else {
        *(int32_t *)output = *(const int32_t *)scratch * 4; /* 0.01 % */
    }
    return trend_slice_code;
}

static int32_t trend_read(const void *output, int32_t last_ppm, uint32_t what) {
    const int32_t fallen = *(const int32_t *)output;
    return ((last_ppm + 50) / 100) - (fallen * (int32_t)what); /* 0: the level now */
}

static int trend_selftest(void *output, void *scratch) {
    *(int32_t *)output = 0x12345678;
    *(int32_t *)scratch = 0x12345678;
    return trend_selftest_code;
}

static const edgebat_forecast_model_t trend_model = {"trend",
                                                     UINT32_C(0x87654321),
                                                     UINT32_C(0x0BADCAFE),
                                                     6U, /* multiply-accumulates */
                                                     trend_low_ppm,
                                                     trend_high_ppm,
                                                     TREND_CYCLES,
                                                     TREND_COLUMNS,
                                                     TREND_LEAST,
                                                     TREND_MAX_GAP,
                                                     2U,    /* slices */
                                                     2U,    /* points */
                                                     10U,   /* horizon */
                                                     8000U, /* end of life */
                                                     TREND_OUTPUT_BYTES,
                                                     TREND_SCRATCH,
                                                     &trend_quantize,
                                                     &trend_run_slice,
                                                     &trend_read,
                                                     &trend_selftest};

#endif
