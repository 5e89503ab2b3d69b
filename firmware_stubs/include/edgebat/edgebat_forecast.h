/*
 * edgebat_forecast.h - the capacity to come, from the SOH that edgebat.h has measured so far.
 *
 *     static trend_work_t room;                  a generated model: trend.h, trend_bms.h
 *     static edgebat_forecast_t forecast;
 *
 *     edgebat_forecast_init(&forecast, &trend_model, soh_model.fingerprint, &room, saved, saved_bytes);
 *
 *     result.revision has moved:  edgebat_forecast_push(&forecast, &result);       edgebat_result_t
 *     when there is time:         edgebat_forecast_step(&forecast);
 *     for the CAN frame:          edgebat_forecast_result(&forecast, &outlook);
 *     outlook.revision has moved: edgebat_forecast_state_get(&forecast, buffer, sizeof buffer);
 *
 * push keeps a history of one SOH per cycle: what the health model has measured itself, never what counting
 * or the data sheet guess. Cycles without an estimate are bridged by a straight line, up to the model's
 * max_gap; a longer gap starts the history anew. Before its first value the history is taken as flat. Once
 * it covers least_cycles, step runs the model on it, one slice per call, and result gives the trajectory
 * over the coming cycles, and the cycles to end of life where the trajectory reaches it within its horizon.
 * Beyond the horizon they are not known: nothing that was tried could tell them better than a constant.
 *
 * Cycles are those of edgebat_result_t.cycle. They are the unit of its ages and of its rul_cycles, they are
 * saved already, and a forecast on this axis is consistent with itself: who charges a third of the battery
 * every night has a history of such cycles and gets a forecast in such cycles. An equivalent full cycle would
 * need the capacity to be known, and shrinks beside the cycle of the training data as the cell ages.
 *
 * The rules of edgebat.h hold here as well: all memory belongs to the caller, nothing allocates, blocks,
 * recurses or touches floating point, and one forecast belongs to one context of execution. A product without
 * forecasts leaves out edgebat_forecast*.c and pays nothing.
 *
 * The forecast is for information (QM), as the estimate is.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EDGEBAT_FORECAST_H
#define EDGEBAT_FORECAST_H

#include "edgebat/edgebat.h"

#ifdef __cplusplus
extern "C" {
#endif

/*** What comes out ***/

typedef struct {
    uint16_t points_cpct[EDGEBAT_POINTS_MAX]; /* SOH to come, equally spaced over `horizon` from `cycle` on */
    uint16_t eol_cycles; /* from now to end of life; EDGEBAT_UNKNOWN: not within the horizon */
    uint16_t horizon;    /* cycles from `cycle` to the last point */
    uint16_t age_cycles; /* since `cycle`; EDGEBAT_UNKNOWN: no forecast */
    uint16_t soh_cpct;   /* newest value of the history; EDGEBAT_UNKNOWN: there is none */
    uint16_t covered;    /* cycles of history, at most what the model reads */
    uint16_t missing;    /* cycles of history still missing before the model can be asked */
    uint32_t cycle;      /* where the forecast begins, the last measured cycle it has seen; 0: no forecast */
    uint32_t revision;   /* counts on whenever there is something worth saving */
    uint8_t points;      /* of points_cpct, 0 when there is no forecast */
    uint8_t status;      /* edgebat_status_t; below */
} edgebat_forecast_result_t;

/*
 * status, edgebat_status_t:
 *   OK              a forecast from the newest value of the history
 *   WARMUP          the history is too short, or the model has not been run yet: nothing is known
 *   OUT_OF_DOMAIN   the history is unlike the training data, or the answer is no SOH: the forecast is an
 *                   older one, or unknown
 *   STALE           the last forecast is older than max_gap: nothing is known
 *   MODEL_CORRUPT   the self-test failed: nothing is known
 */

/*** The model ***/

/* What `read` is asked for; the points of the trajectory follow from EDGEBAT_FORECAST_READ_POINTS on. */
#define EDGEBAT_FORECAST_READ_LEVEL 0U
#define EDGEBAT_FORECAST_READ_POINTS 1U

/** A generated model and what the code needs to know of it: `<name>_model` in `<name>_bms.c`. Its input is
 * `cycles` values of SOH in ppm, row after row of `columns`, each as the change from the newest one. */
typedef struct {
    const char *name;
    uint32_t fingerprint;      /* first 32 bits of the model's SHA-256 */
    uint32_t data_fingerprint; /* of the split of the data it was trained on; 0: not known */
    uint32_t multiply_accumulates;
    const int32_t *low_ppm;  /* [columns] range of the changes in the training data, ppm */
    const int32_t *high_ppm; /* [columns] */
    uint16_t cycles;         /* of history that the model reads, oldest first */
    uint16_t columns;        /* cycles per row */
    uint16_t least_cycles;   /* of history below which it is not asked */
    uint16_t max_gap;        /* cycles from one measured value to the next, at most */
    uint16_t slices;         /* calls of run_slice per inference */
    uint16_t points;         /* of the trajectory */
    uint16_t horizon;        /* cycles ahead of the last point */
    uint16_t eol_cpct;       /* SOH that counts as end of life */
    uint16_t output_bytes;
    uint32_t scratch_bytes;
    void (*quantize)(const int32_t *ppm, int32_t last_ppm, int8_t *row);
    int (*run_slice)(uint32_t slice, const int8_t *window, void *output, void *scratch);
    int32_t (*read)(const void *output, int32_t last_ppm, uint32_t what); /* 0.01 % */
    int (*selftest)(void *output, void *scratch);                         /* NULL: compiled without */
} edgebat_forecast_model_t;

/** Bytes of working memory for a model: scratch, one row in ppm, outputs, the history, one window. */
#define EDGEBAT_FORECAST_WORK_BYTES(scratch, columns, output, cycles)                                        \
    ((scratch) + 4U * (columns) + (((output) + 3U) & ~3U) + 3U * (cycles))

/** Bytes of a saved history. */
#define EDGEBAT_FORECAST_SAVED_BYTES(cycles) (EDGEBAT_FORECAST_SAVED_HEADER + 2U * (cycles) + 4U)
#define EDGEBAT_FORECAST_SAVED_HEADER 28U

/*** The forecast of one battery ***/

/** Everything that is remembered. Read it through edgebat_forecast_result; the names may change. */
typedef struct {
    const edgebat_forecast_model_t *model;
    uint8_t *work;
    uint32_t source;
    uint32_t now;      /* the estimator's cycle */
    uint32_t newest;   /* cycle of the newest value of the history */
    uint32_t begin;    /* cycle of the forecast */
    uint32_t sequence; /* of the saved histories */
    uint32_t revision;
    uint16_t covered; /* cycles of history */
    uint16_t slice;   /* 0: nothing to do, 1: a window to be made, then the slices of a running inference */
    uint16_t eol;     /* cycles from `begin` to end of life; EDGEBAT_UNKNOWN: beyond the horizon */
    uint16_t points[EDGEBAT_POINTS_MAX];
    uint8_t known; /* there is a forecast */
    uint8_t outside;
    uint8_t corrupt;
} edgebat_forecast_t;

/**
 * Begin. source: what measures the SOH, the fingerprint of the health model; the history of another source
 * is refused, because a step between two models would look like ageing. work: the model's work bytes,
 * aligned to 4. saved: a history from edgebat_forecast_state_get, or NULL for a new battery. Returns
 * EDGEBAT_OK; or EDGEBAT_ERR_LENGTH, _BLANK, _FORMAT, _DAMAGED, _OTHER when the saved history was refused:
 * it then starts empty and may be used; or EDGEBAT_ERR_NULL, _ALIGN, _MODEL: it may not.
 */
int edgebat_forecast_init(edgebat_forecast_t *forecast, const edgebat_forecast_model_t *model,
                          uint32_t source, void *work, const void *saved, uint32_t saved_bytes);

/**
 * What the estimator says now: whenever its revision has moved, or more often; the estimate of a cycle
 * enters the history once. A cycle counter that has gone back, behind the newest value, is that of another
 * battery or of an older state: the history starts anew. EDGEBAT_OK, or EDGEBAT_IGNORED when nothing was
 * added.
 */
int edgebat_forecast_push(edgebat_forecast_t *forecast, const edgebat_result_t *health);

/** A bounded piece of work: makes a window or runs one slice. EDGEBAT_BUSY: call again, not urgent. */
int edgebat_forecast_step(edgebat_forecast_t *forecast);

/** What is known now. Never fails for lack of data: the status says what it is worth. */
int edgebat_forecast_result(const edgebat_forecast_t *forecast, edgebat_forecast_result_t *result);

/** As edgebat_selftest, for this model. */
int edgebat_forecast_selftest(edgebat_forecast_t *forecast);

/*** Its saved history: two places of their own, written in turn, as those of edgebat.h ***/

/** Bytes of a saved history. */
uint32_t edgebat_forecast_state_bytes(const edgebat_forecast_model_t *model);

/** Write the history; the forecast itself is made again from it after a start. Write the estimator's state
 * first: what the history then lacks is pushed again, while a history ahead of its estimator starts anew. */
int edgebat_forecast_state_get(edgebat_forecast_t *forecast, void *buffer, uint32_t bytes);

/** EDGEBAT_OK when `saved` is a whole history for this model from this source, else the code
 * edgebat_forecast_init would return. */
int edgebat_forecast_state_check(const edgebat_forecast_model_t *model, uint32_t source, const void *saved,
                                 uint32_t bytes);

/** The newer sound one of `a` and `b`, or NULL. Write the next history over the other one. */
const void *edgebat_forecast_state_newest(const edgebat_forecast_model_t *model, uint32_t source,
                                          const void *a, const void *b, uint32_t bytes);

/*** CAN: identifiers after those of edgebat_can.h ***/

#define EDGEBAT_CAN_OUTLOOK                                                                                  \
    4U /* cycles to end of life, age, horizon, missing cycles, status: every 1000 ms */
#define EDGEBAT_CAN_TRAJECTORY 5U /* three points of the trajectory, multiplexed */
#define EDGEBAT_CAN_FORECASTER                                                                               \
    6U /* fingerprint of the model, cycle of the forecast, newest SOH of the history */

/**
 * Pack one frame of 8 bytes. counter: for the trajectory the multiplexer, 0 for points 0 to 2, 1 for points
 * 3 to 5, 2 for the rest; else unused. Returns EDGEBAT_OK, EDGEBAT_ERR_NULL, or EDGEBAT_ERR_FORMAT for an
 * unknown frame.
 */
int edgebat_forecast_can_pack(const edgebat_forecast_model_t *model, const edgebat_forecast_result_t *result,
                              uint32_t frame, uint32_t counter, uint8_t data[8]);

#ifdef __cplusplus
}
#endif

#endif
