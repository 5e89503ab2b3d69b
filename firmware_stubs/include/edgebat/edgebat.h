/*
 * edgebat.h - state of health from the samples a battery management system has anyway.
 *
 *     static soh_work_t work;                  a generated model: soh.h, soh_bms.h
 *     static edgebat_t battery;
 *     static edgebat_config_t config;
 *
 *     edgebat_config_default(&config, 3500);   a cell of 3500 mAh
 *     edgebat_init(&battery, &soh_model, &config, &work, saved, saved_bytes);
 *
 *     every tick:        edgebat_push(&battery, &sample);
 *     when there is time: edgebat_step(&battery);
 *     for the CAN frame: edgebat_result(&battery, &result);
 *     now and then:      edgebat_state_get(&battery, buffer, sizeof buffer);
 *
 * push counts charge and measures, while the cell is charged through the model's voltage window, how much
 * charge each voltage step takes. Enough charges in a row make a window of inputs; step runs the model on it,
 * one slice per call. result says how healthy the cell is, how sure that is, and whether the model or plain
 * counting of ampere-hours says so.
 *
 * All memory belongs to the caller. Nothing here allocates, blocks, recurses, touches floating point or keeps
 * a variable of its own; as many batteries and models as you like live side by side. Functions check their
 * arguments and return a code. One battery must not be used from two contexts of execution at a time: call
 * all functions from one task, or lock.
 *
 * The result is for information (QM): no contactor may open on it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EDGEBAT_H
#define EDGEBAT_H

#include <stdint.h>

#include "edgebat/edgebat_model.h"
#include "edgebat_nn.h"

/** Changes whenever a description of a model that was generated before no longer fits `edgebat_model_t`. */
#define EDGEBAT_BMS_ABI 3

/** Called with a condition that only a fault in the caller's program makes false.
 * Default: nothing; errors are returned. */
#if !defined(EDGEBAT_ASSERT)
#define EDGEBAT_ASSERT(condition) ((void)0)
#endif

/** 1: resistance from steps of the current as well (edgebat_resistance.h). Compile all of a firmware with the same
 * value: structures of this file grow by it, and two values do not link. */
#if !defined(EDGEBAT_RESISTANCE)
#define EDGEBAT_RESISTANCE 0
#endif

#if EDGEBAT_RESISTANCE && EDGEBAT_ANY_WINDOW
#define edgebat_init edgebat_init_with_resistance_and_any_window
#elif EDGEBAT_RESISTANCE
#define edgebat_init edgebat_init_with_resistance
#elif EDGEBAT_ANY_WINDOW
#define edgebat_init edgebat_init_with_any_window
#endif

#ifdef __cplusplus
extern "C" {
#endif

/*** Return codes, beside those of edgebat_nn.h (EDGEBAT_OK is 0, errors are negative) ***/

#define EDGEBAT_BUSY 1          /* step: call again, more slices wait */
#define EDGEBAT_IGNORED 2       /* push: the sample is invalid or impossible and was not used */
#define EDGEBAT_INHERITED 3     /* init: of another model, capacity or version; what still holds was taken */
#define EDGEBAT_ERR_CONFIG (-5) /* a value of the configuration is out of its range */
#define EDGEBAT_ERR_MODEL (-6)  /* the model's description contradicts itself */
#define EDGEBAT_ERR_LENGTH (-7) /* the buffer is too short */
#define EDGEBAT_ERR_BLANK (-8)  /* saved state: nothing was ever written there (all 0x00 or all 0xFF) */
#define EDGEBAT_ERR_FORMAT (-9) /* saved state: not a state, or of another version */
#define EDGEBAT_ERR_DAMAGED (-10) /* saved state: checksum or contents are wrong */
#define EDGEBAT_ERR_OTHER (-11)   /* saved history of a forecaster: of another model or battery */

/*** What comes in ***/

#define EDGEBAT_VALID_VOLTAGE 1U
#define EDGEBAT_VALID_CURRENT 2U
#define EDGEBAT_VALID_TEMPERATURE 4U
#define EDGEBAT_VALID_ALL 7U

/** One sample of one cell. Without valid voltage and current it counts as a hole of dt_ms. */
typedef struct {
    int32_t current_mA; /* with the sign that the configuration says */
    uint32_t dt_ms;     /* since the sample before; after a clock jumped back a huge number, which is a gap */
    int16_t cell_mV;
    int16_t temperature_ddegC; /* 0.1 degC */
    uint8_t valid;             /* EDGEBAT_VALID_... */
} edgebat_sample_t;

typedef enum {
    EDGEBAT_CHARGE_POSITIVE = 0,   /* LibreSolar, battery data format */
    EDGEBAT_DISCHARGE_POSITIVE = 1 /* foxBMS */
} edgebat_sign_t;

#if EDGEBAT_RESISTANCE
#define EDGEBAT_RESISTANCE_POINTS 8U /* -15, -5, 5, 15, 25, 35, 45, 55 degC */

/** What a step of the current must be to tell a resistance, and what a new cell has. */
typedef struct {
    uint32_t new_uOhm; /* of a new cell at 25 degC, at most 20,000,000; 0: not known */
    int32_t step_mA;   /* a smaller change of the current tells nothing */
    uint16_t step_ms;  /* nor does one between samples that are further apart */
    uint16_t
        sigma_cpct; /* deviation of any resistance by sensors and temperatures, 0.01 % of it, at most 10000 */
    uint16_t
        permille[EDGEBAT_RESISTANCE_POINTS]; /* resistance over that at 25 degC; 0: none is measured there */
    uint8_t is_new; /* 1: the cell is new when the board begins, its first resistance is that of a new one */
} edgebat_resistance_config_t;
#endif

/** The battery and what is believed of its sensors. Constant while a battery uses it. */
typedef struct {
    uint32_t nominal_mAh; /* capacity of the cell, 10 to 2,000,000 */
    uint32_t
        reference_mAh; /* capacity that the model calls 100 %, see <name>_bms.h: nominal for most models */
    int32_t max_current_mA; /* a larger current, either way, is a fault of the sensor */
    int32_t cutoff_mA;   /* full: charged at full_mV down to this current, or to twice it and then no more */
    uint32_t max_gap_ms; /* a longer hole between samples ends a measurement */
    uint32_t stuck_ppm;  /* charge (of nominal) after which an unchanging voltage counts as stuck */
    uint32_t invalid_ms; /* status INPUT_INVALID after so long without a usable sample */
    int16_t min_mV;      /* a cell voltage outside min_mV to max_mV is a fault of the sensor */
    int16_t max_mV;
    int16_t full_mV;  /* 0: not known, no counting */
    int16_t empty_mV; /* empty: discharged at or below this voltage with at most 1C, for 10 s; 0: not known */
    int16_t max_drop_mV;    /* a charge whose voltage falls by more is none: current or sign is wrong */
    uint16_t stale_cycles;  /* status STALE when the model's last estimate is older */
    uint16_t slew_cpct_h;   /* the published SOH moves by at most this much, 0.01 % per hour; 0: at once */
    uint16_t rated_cycles;  /* full cycles to end of life in the data sheet; 0: not known */
    uint16_t counting_cpct; /* standard deviation of an SOH by slow counting at 10 to 50 degC, 0.01 % */
    uint8_t sign;           /* edgebat_sign_t */
#if EDGEBAT_RESISTANCE
    edgebat_resistance_config_t resistance;
#endif
} edgebat_config_t;

/*** What comes out ***/

typedef enum {
    EDGEBAT_STATUS_OK = 0,
    EDGEBAT_STATUS_WARMUP = 1,        /* not enough charges through the window yet */
    EDGEBAT_STATUS_INPUT_INVALID = 2, /* no usable sample for invalid_ms */
    EDGEBAT_STATUS_OUT_OF_DOMAIN = 3, /* the last charge was unlike the training data and left out */
    EDGEBAT_STATUS_STALE = 4, /* the model's last estimate is old, or ten charges since gave nothing */
    EDGEBAT_STATUS_MODEL_CORRUPT = 5, /* the self-test failed: the model is not asked any more */
    EDGEBAT_STATUS_CONFLICT = 6 /* sources contradict each other by more than three times their errors */
} edgebat_status_t;

/** Whose evidence weighs most in soh_cpct: all of it is averaged, weighted by errors that grow with age. */
typedef enum {
    EDGEBAT_SOURCE_NONE = 0,      /* nobody: soh_cpct is what was known last, EDGEBAT_UNKNOWN at first */
    EDGEBAT_SOURCE_MODEL = 1,     /* the model's last estimate that was in its domain */
    EDGEBAT_SOURCE_COUNTING = 2,  /* ampere-hours between full and empty */
    EDGEBAT_SOURCE_DATASHEET = 3, /* nobody has measured: a new cell, faded by the data sheet */
    EDGEBAT_SOURCE_WINDOW = 4,    /* charges unlike the training data, beside that of the last estimate */
    EDGEBAT_SOURCE_INHERITED = 5, /* what was known before another model, or what service has given */
    EDGEBAT_SOURCE_REST = 6       /* charge between two rests over a table of open-circuit voltages */
} edgebat_source_t;

/** What became of the last charge. */
typedef enum {
    EDGEBAT_CHARGE_OK = 0,           /* it gave an input for the model */
    EDGEBAT_CHARGE_STARTS_ABOVE = 1, /* it began inside or above the window */
    EDGEBAT_CHARGE_ENDS_BELOW = 2,   /* it ended before the window */
    EDGEBAT_CHARGE_INTERRUPTED = 3,  /* it ended inside the window */
    EDGEBAT_CHARGE_NOT_CONSTANT = 4, /* its averaged current wandered by more than 5 % and than C/40 */
    EDGEBAT_CHARGE_SPARSE = 5,       /* too few samples inside the window, or one that jumps over it */
    EDGEBAT_CHARGE_GAP = 6,          /* samples are missing inside the window */
    EDGEBAT_CHARGE_STUCK = 7,        /* the voltage did not move while charge flowed */
    EDGEBAT_CHARGE_IMPLAUSIBLE = 8,  /* the voltage fell while the current was charging */
    EDGEBAT_CHARGE_NONE = 9,         /* there was none yet */
    EDGEBAT_CHARGE_REPEATED = 10,    /* part of the window's charge is already in the cell */
    EDGEBAT_CHARGE_RATE = 11         /* its mean current is at no rate that the model has learnt from */
} edgebat_charge_t;

#define EDGEBAT_POINTS_MAX 8U
#define EDGEBAT_UNKNOWN 0xFFFFU

typedef struct {
    uint16_t soh_cpct;   /* 0.01 %, published: follows what the sources say together within the slew limit */
    uint16_t sigma_cpct; /* its standard deviation; EDGEBAT_UNKNOWN: not known */
    uint16_t rul_cycles; /* cycles to end of life; EDGEBAT_UNKNOWN: not known */
    uint16_t model_cpct; /* last estimate of the model, without slew limit; EDGEBAT_UNKNOWN: never */
    uint16_t
        counting_cpct;   /* what counting, else the data sheet says, faded since; EDGEBAT_UNKNOWN: nothing */
    uint16_t age_cycles; /* since the model's last estimate; EDGEBAT_UNKNOWN: never */
    uint32_t age_s;      /* the same in seconds of operation */
    uint32_t cycle;      /* net charges of at least 5 % of nominal after as much net discharge */
    uint32_t revision;   /* counts on whenever there is something worth saving */
    uint32_t throughput_mAh; /* in and out, ever */
    uint32_t window_ppm;     /* of nominal, of the last charge through the window; 0: none since the start */
    uint16_t points_cpct[EDGEBAT_POINTS_MAX]; /* SOH to come, equally spaced over the model's horizon */
    uint16_t
        efc_quarters; /* equivalent full cycles, in quarters: half the throughput over nominal, times 4 */
    uint8_t points;
    uint8_t warmup; /* charges still missing before the model can speak */
    uint8_t status; /* edgebat_status_t */
    uint8_t source; /* edgebat_source_t */
    uint8_t charge; /* edgebat_charge_t */
#if EDGEBAT_RESISTANCE
    uint32_t resistance_uOhm;       /* at 25 degC, over some 3 times nominal of use; UINT32_MAX: not known */
    uint16_t resistance_sigma_cpct; /* its standard deviation, 0.01 % of it; EDGEBAT_UNKNOWN: not known */
    uint16_t
        resistance_cpct; /* of that when new, 0.01 %: 12000 is a fifth more; EDGEBAT_UNKNOWN: not known */
#endif
} edgebat_result_t;

/*** The model: edgebat_model.h ***/

/** Bytes of working memory for a model: scratch, one row of inputs, outputs, one window. */
#define EDGEBAT_WORK_BYTES(scratch, columns, output, context)                                                \
    ((scratch) + 4U * (columns) + (((output) + 3U) & ~3U) + (columns) * (context))

/** The same of a model of any window, which keeps the cycle of each row and one row more. */
#define EDGEBAT_ANY_WORK_BYTES(scratch, columns, output, context)                                            \
    (EDGEBAT_WORK_BYTES(scratch, columns, output, (context) + 1U) + 2U * (context))

/** Bytes of a saved state; of a model of any window the cycle of a row counts as two columns. */
#define EDGEBAT_SAVED_BYTES(columns, context, points)                                                        \
    (EDGEBAT_SAVED_HEADER + 2U * (points) + (columns) * (context) + 4U)
#if !EDGEBAT_RESISTANCE
#define EDGEBAT_SAVED_HEADER 176U
#else
#define EDGEBAT_SAVED_HEADER 212U
#endif

/** Fill `info`. EDGEBAT_OK, EDGEBAT_ERR_NULL, or EDGEBAT_ERR_MODEL: the description contradicts itself. */
int edgebat_model_info(const edgebat_model_t *model, edgebat_model_info_t *info);

/*** One battery ***/

/** What one source says, and when it did. */
typedef struct {
    uint16_t at_efc;     /* quarters of an equivalent full cycle */
    uint16_t at_4h;      /* four hours of operation */
    uint16_t cpct;       /* EDGEBAT_UNKNOWN: nothing */
    uint16_t sigma_cpct; /* its standard deviation at that moment, at most 10000 */
} edgebat_evidence_t;

#define EDGEBAT_EVIDENCE 5U /* model, counting, window, inherited, rests */
#define EDGEBAT_OHM_STEPS 5U

/** Everything that is remembered of one cell, the smallest and most used first: that makes the code short. What
 * is saved stands in the order of the saved state (edgebat_state.h). Read it through edgebat_result; the names
 * may change. */
typedef struct {
    const edgebat_model_t *model;
    const edgebat_config_t *config;
    uint8_t *work;

    /* what is going on */
    uint8_t settled;      /* something measured has been published */
    uint8_t armed;        /* `swing` is net charge */
    uint8_t anchor;       /* where counting began */
    uint8_t odd_rows;     /* in a row that were unlike the training data */
    uint8_t failed;       /* charges into the window in a row that gave nothing */
    uint8_t outside;      /* the last charge was unlike the training data */
    uint8_t phase;        /* of the charge under way */
    uint8_t weigh;        /* the evidence is to be weighed again */
    uint8_t source;       /* edgebat_source_t of the target */
    uint8_t charge_ended; /* edgebat_charge_t of the last charge that was no pulse */
    uint8_t reason;       /* ... of the charge under way */
    uint8_t corrupt;      /* the self-test has failed */
    uint8_t row_ready;    /* a row waits in the working memory */
    uint8_t row_cold;     /* its temperature is not one the model knows */
    uint8_t row_blind;    /* nobody has measured it */
    uint8_t cycle_used;   /* this cycle has given a row */
    uint8_t parked;       /* the saved state is of a cell at rest */
    uint8_t taper;        /* the charger has lowered its current at full_mV */
    uint8_t candidate;    /* the anchor that hold_ms belongs to */
    uint8_t sampled;      /* last_mV and last_mA hold a sample */

    uint16_t published_cpct;
    uint16_t ceiling_cpct; /* target when somebody measured last */
    uint16_t estimate_rul;
    uint16_t rows; /* in the window */
    uint16_t span; /* quarters of an equivalent full cycle that the window reaches back, about */
    int16_t last_mV;
    uint16_t row_efc;   /* of the newest row, quarters of an equivalent full cycle */
    uint16_t rest_ms;   /* without current, up to a minute; more: the voltage has come to a halt */
    int16_t last_ddegC; /* the last temperature, INT16_MIN: there never was one */
    uint16_t efc;       /* quarters of an equivalent full cycle */
    uint16_t slice;     /* next one of a running inference, 0: none runs */
    uint16_t level;     /* next one to be reached */
    uint16_t inside;    /* samples inside the window */
    uint16_t target_cpct;
    uint16_t target_sigma;
    int16_t top_mV; /* highest of this charge */

    uint32_t clock_s;   /* of operation */
    uint32_t row_cycle; /* of the newest row */
    uint32_t estimate_cycle;
    uint32_t estimate_s; /* clock at it */
    uint32_t anchor_ms;  /* since the anchor */
    uint32_t cold_ms;    /* of these outside the temperatures of counting */
    int32_t anchor_mA;   /* current at the anchor */
    uint32_t window_ppm; /* of the row of the last estimate */
    uint32_t cycle;
    uint32_t revision;
    uint32_t hole_ms; /* since the last usable sample */
    int32_t last_mA;
    int32_t smooth_mA; /* eight times the averaged current inside the window */
    int32_t least_mA;
    int32_t most_mA;
    uint32_t idle_steps; /* since the last sample */

    /* the rest; charges are twice mA * ms, because the trapezoidal rule adds currents */
    uint64_t throughput;    /* in and out, ever */
    uint64_t swing;         /* net discharge; once it was a cycle's, net charge */
    int64_t count;          /* since the anchor, charging positive */
    int64_t ocv_charge;     /* since the last rest with a known state of charge */
    int64_t charge;         /* of the charge under way */
    int64_t level_charge;   /* when it reached the last voltage level */
    int64_t moved_charge;   /* when its voltage moved last */
    uint64_t above;         /* net charge since the window was reached, 0 once it is out again */
    uint64_t window_charge; /* between the samples inside the window */
    edgebat_evidence_t evidence[EDGEBAT_EVIDENCE];
#if EDGEBAT_RESISTANCE
    uint32_t ohm;                         /* at 25 degC, 10 nOhm, averaged */
    uint32_t ohm_new;                     /* when new, 10 nOhm; 0: not known */
    uint16_t ohm_spread;                  /* of a median from it, 0.01 % */
    uint8_t ohm_seen;                     /* medians that made `ohm`, no more than needed */
    uint8_t ohm_used;                     /* the cell is not new: what it has is not what it had */
    int32_t ohm_steps[EDGEBAT_OHM_STEPS]; /* that make the next median, 10 nOhm */
    uint16_t ohm_use;                     /* throughput at the last of them, in steps of 2^26 */
    uint16_t ohm_count;                   /* of them */
#endif
    uint32_t serial;               /* of what the board sits in, edgebat_adopt */
    uint32_t ocv_ms;               /* samples since that rest */
    uint32_t ocv_odd_ms;           /* of these too cold, too hot or too fast */
    uint16_t ocv_cpct;             /* state of charge at it, EDGEBAT_UNKNOWN: there is none */
    uint16_t ocv_sigma;            /* its standard deviation */
    uint32_t window_ms;            /* between the samples inside the window */
    uint32_t rested_ms;            /* while the voltage stayed about where it is */
    uint32_t most_steps;           /* between two samples */
    uint32_t elapsed_ms;           /* since the last step */
    uint32_t row_ppm;              /* sum of the newest row */
    int32_t sum_ddegC;             /* of the temperatures inside the window */
    uint32_t slew;                 /* part of 0.01 % of the next step towards the target */
    uint32_t sequence;             /* of the saved states */
    const struct edgebat_ocv *ocv; /* edgebat_ocv.h */
    int16_t rested_mV;             /* where that is */
    uint16_t hold_ms;              /* at full or empty */
    uint16_t kept_use;             /* throughput when it was saved last, in steps of 2^26 */
    uint16_t temperatures;         /* in the sum */
    uint16_t odd_cpct;             /* the healthiest SOH that the last odd rows would be */
    uint16_t second_ms;
    uint16_t estimate_points[EDGEBAT_POINTS_MAX];
    uint8_t conflict; /* sources contradict each other */
    uint8_t unseen;   /* samples are missing since the cycle began */
#if EDGEBAT_ANY_WINDOW
    int32_t start_uV; /* so far above the lowest window begins the one that the charge is in, or comes to */
    int32_t row_uV;   /* the same of the newest row */
#endif
} edgebat_t;

/** Sensible values for a lithium-ion cell of `nominal_mAh`; counting is off until full_mV and empty_mV are
 * set. */
int edgebat_config_default(edgebat_config_t *config, uint32_t nominal_mAh);

/**
 * Begin. A new cell: erase both places of the old one's state first, or it may come back at the next start.
 * work: the model's work bytes, aligned to 4. saved: a state from edgebat_state_get, or NULL for a new
 * battery. Returns EDGEBAT_OK; EDGEBAT_INHERITED when the saved state is of another model, capacity or
 * version: cycles, throughput and SOH go on, the window begins anew; EDGEBAT_ERR_LENGTH, _BLANK, _FORMAT,
 * _DAMAGED when it was refused: the battery then starts as a new one and may be used; or EDGEBAT_ERR_NULL,
 * _ALIGN, _CONFIG, _MODEL: it may not.
 */
int edgebat_init(edgebat_t *battery, const edgebat_model_t *model, const edgebat_config_t *config, void *work,
                 const void *saved, uint32_t saved_bytes);

/**
 * One sample, every tick; some 300 instructions on a Cortex-M4, a little more where the voltage passes a
 * level; see the model's integration checklist. Returns EDGEBAT_OK or EDGEBAT_IGNORED.
 */
int edgebat_push(edgebat_t *battery, const edgebat_sample_t *sample);

/**
 * Time passed and no sample came: call it when samples stop, and after a sleep whose length is known, so that
 * the status can say INPUT_INVALID and ages are true. The next sample's dt_ms counts from here on.
 */
int edgebat_idle(edgebat_t *battery, uint32_t elapsed_ms);

/** A bounded piece of work: takes over a finished charge or runs one slice. EDGEBAT_BUSY: call again, at any
 * time. */
int edgebat_step(edgebat_t *battery);

/** What is known now. Never fails for lack of data: the status says what it is worth. Of a battery that may not
 * be used it says that nothing is known, and EDGEBAT_ERR_NULL. */
int edgebat_result(const edgebat_t *battery, edgebat_result_t *result);

/**
 * The checksum of the model's tables and its golden vectors, bit for bit. Takes as long as a few inferences:
 * once at start, then rarely. A running inference begins again. On failure the model is not asked any more.
 * EDGEBAT_IGNORED: the model was compiled with EDGEBAT_SELFTEST 0 and cannot be tested.
 */
int edgebat_selftest(edgebat_t *battery);

/** Service (edgebat_service.h has more): somebody has measured the cell, or put another one in: all evidence gives way to this SOH and its standard
 * deviation, 0.01 %; cycles and throughput stay. EDGEBAT_ERR_CONFIG: beyond 10 to 150 %, or a deviation of none
 * or more than 100 %. */
int edgebat_seed(edgebat_t *battery, uint16_t soh_cpct, uint16_t sigma_cpct);

/** Bytes of this battery's saved state. */
uint32_t edgebat_state_bytes(const edgebat_model_t *model);

/**
 * Write the state; worth it whenever result.revision has moved, and before the power goes. Each one carries
 * a higher sequence number than the one before. What is lost without power is the charge under way; a count
 * between full and empty goes on when the state was written at rest and the voltage is still the same.
 */
int edgebat_state_get(edgebat_t *battery, void *buffer, uint32_t bytes);

/** EDGEBAT_OK when `saved` is a whole state of this model and battery, else the code of edgebat_init, of which
 * EDGEBAT_INHERITED is none of an error. */
int edgebat_state_check(const edgebat_model_t *model, const edgebat_config_t *config, const void *saved,
                        uint32_t bytes);

/**
 * Two places, written in turn, survive a power cut at any byte: the newer sound one of `a` and `b`, or NULL.
 * Write the next state over the other one.
 */
const void *edgebat_state_newest(const edgebat_model_t *model, const edgebat_config_t *config, const void *a,
                                 const void *b, uint32_t bytes);

#ifdef __cplusplus
}
#endif

#endif
