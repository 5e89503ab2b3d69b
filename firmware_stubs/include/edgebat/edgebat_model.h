/*
 * edgebat_model.h - what a generated model is: `<name>_model` in `<name>_bms.c`. edgebat.h includes it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EDGEBAT_MODEL_H
#define EDGEBAT_MODEL_H

#include <stdint.h>

/** 1: models that read charges through any window as well, beside those of one window. `<name>_bms.h` of such a model asks
 * for it, and an export of one has it here. Compile all of a firmware with the same value: structures grow by it, and
 * two values do not link. */
#if !defined(EDGEBAT_ANY_WINDOW)
#define EDGEBAT_ANY_WINDOW 0
#endif

/* What `read` is asked for; the points of the trajectory follow from EDGEBAT_READ_POINTS on. */
#define EDGEBAT_READ_SOH 0U
#define EDGEBAT_READ_RUL 1U
#define EDGEBAT_READ_POINTS 2U
/* Of models with an interval alone, which have two outputs more: the deviation it stands for, 0.01 %. */
#define EDGEBAT_READ_SIGMA 0xFFFFU

/** A generated model and what the code needs to know of it: `<name>_model` in `<name>_bms.c`. */
typedef struct {
    const char *name;
    uint32_t fingerprint;      /* first 32 bits of the model's SHA-256 */
    uint32_t data_fingerprint; /* of the split of the data it was trained on; 0: not known */
    uint32_t multiply_accumulates;
    const int32_t *level_uV; /* [increments + 1] voltages of the (lowest) window, ascending */
    const int32_t *low_ppm;  /* [columns] range of the training data, ppm of nominal capacity */
    const int32_t *high_ppm; /* [columns] */
    uint16_t increments;     /* voltage steps of the window */
    uint16_t
        columns; /* inputs per charge: increments, or one more, its mean current in 0.001 C; of any window
                                its start in mV and its age in cycles stand between */
    uint16_t context;    /* charges per window */
    uint16_t slices;     /* calls of run_slice per inference */
    uint16_t max_gap;    /* cycles from one charge of a window to the next in training */
    uint16_t points;     /* of the trajectory */
    uint16_t horizon;    /* cycles ahead of the last point */
    uint16_t eol_cpct;   /* SOH that counts as end of life */
    uint16_t sigma_cpct; /* deviation on validation cells; EDGEBAT_UNKNOWN: not known */
    int16_t min_ddegC;   /* temperatures of the training cells */
    int16_t max_ddegC;
    uint16_t output_bytes;
    uint32_t scratch_bytes;
    void (*quantize)(const int32_t *ppm, int8_t *row);
    /* EDGEBAT_IGNORED after the last slice: the model does not know windows like this one */
    int (*run_slice)(uint32_t slice, const int8_t *window, void *output, void *scratch);
    int32_t (*read)(const void *output, uint32_t what); /* EDGEBAT_READ_..., 0.01 % or cycles */
    int (*selftest)(void *output, void *scratch);       /* NULL: compiled without */
    int (*knows_rate)(int32_t rate_mC); /* whether it has learnt from charges at 0.001 C; NULL: not stated */
    uint8_t
        of_nominal; /* 1: its 100 % is the nominal capacity, whatever reference_mAh; 0: it is reference_mAh */
#if EDGEBAT_ANY_WINDOW
    uint16_t starts; /* voltages at which a window may begin, from level_uV[0] on; 0: one window alone */
    uint16_t start_step_mV; /* from one to the next */
    uint16_t next_start;    /* where a window ends the one so many starts further on begins; 0: none does */
    uint16_t max_age;       /* an older row is not read, cycles */
#endif
} edgebat_model_t;

/** What a model is and needs: for a log, a diagnostic service, a check at start. */
typedef struct {
    const char *name;
    uint32_t fingerprint;          /* first 32 bits of the model's SHA-256, also in its card and on CAN */
    uint32_t data_fingerprint;     /* the same of the split of its training data; 0: not known */
    uint32_t multiply_accumulates; /* of one inference */
    uint32_t work_bytes;           /* of working memory per battery, beside edgebat_t */
    uint32_t saved_bytes;          /* of a saved state */
    uint16_t slices;               /* calls of edgebat_step per inference */
    uint16_t charges;              /* through the window before it can speak */
    uint16_t increments;           /* inputs per charge */
    uint16_t points;               /* of the trajectory */
    uint16_t horizon;              /* cycles ahead of the last point */
    uint16_t eol_cpct;             /* SOH that counts as end of life, 0.01 % */
    uint16_t sigma_cpct;           /* deviation on validation cells; EDGEBAT_UNKNOWN: not known */
    int16_t low_mV;                /* window of the charge */
    int16_t high_mV;
    int16_t min_ddegC; /* temperatures of the training cells */
    int16_t max_ddegC;
} edgebat_model_info_t;

#endif
