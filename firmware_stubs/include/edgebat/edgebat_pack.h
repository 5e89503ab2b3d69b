/*
 * edgebat_pack.h - the cells of a string together: the weakest, the spread, usable energy, and a module that was
 * swapped while nobody looked.
 *
 *     static edgebat_pack_cell_t cells[96];
 *     static edgebat_pack_t pack;
 *
 *     edgebat_pack_init(&pack, cells, 96U, 3650, 50000U, saved, saved_bytes);
 *
 *     every cell in turn:        edgebat_result(&battery[i], &result); edgebat_pack_set(&pack, i, &result);
 *     when a charge has ended:   edgebat_pack_compare(&pack); edgebat_pack_state_get(&pack, buffer, bytes);
 *     for the display:           edgebat_pack_view(&pack, &view);
 *
 * All cells of a string are charged by one current, so each takes its part of the charge through the model's window
 * as it always has, beside the median of all. A cell whose part changes at once, and stays changed at the next
 * charge, is another cell. A product that calls none of this links nothing of it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EDGEBAT_PACK_H
#define EDGEBAT_PACK_H

#include "edgebat/edgebat.h"

#ifdef __cplusplus
extern "C" {
#endif

/** What is remembered of one cell, 20 bytes; 28 with its resistance. */
typedef struct {
    uint32_t window_ppm; /* of a charge that was not compared yet, 0: there is none */
    uint32_t cycle;      /* of the last charge that was looked at */
    uint16_t part;       /* usual charge through the window beside the median, 0.01 %; 0: not known */
    uint16_t noise;      /* usual distance from it */
    uint16_t soh_cpct;   /* EDGEBAT_UNKNOWN: not known */
    uint16_t sigma_cpct;
    uint8_t seen;    /* charges that made `part`, no more than needed */
    uint8_t away;    /* the last charge was above (1) or below (2) its part */
    uint8_t swapped; /* another cell was noticed */
    uint8_t status;  /* edgebat_status_t */
#if EDGEBAT_RESISTANCE
    uint32_t resistance_uOhm; /* as in its result */
    uint16_t resistance_sigma_cpct;
    uint16_t resistance_cpct;
#endif
} edgebat_pack_cell_t;

/** One string of cells in series. */
typedef struct {
    edgebat_pack_cell_t *cells;
    uint32_t reference_mAh; /* capacity of a cell with an SOH of 100 % */
    uint32_t sequence;      /* of the saved states */
    uint16_t count;         /* 1 to 1000 */
    int16_t mean_mV;        /* of a cell between full and empty */
} edgebat_pack_t;

typedef struct {
    uint32_t
        usable_mWh;   /* by the weakest cell; UINT32_MAX: the SOH of a cell is not known, or more than that */
    uint16_t weakest; /* its place; EDGEBAT_UNKNOWN: no SOH is known */
    uint16_t weakest_cpct; /* 0.01 % */
    uint16_t sigma_cpct;   /* standard deviation of that */
    uint16_t mean_cpct;
    uint16_t spread_cpct; /* strongest above weakest */
    uint16_t known;       /* cells whose SOH is known */
    uint16_t swapped;     /* place of the first cell that was swapped; EDGEBAT_UNKNOWN: none */
    uint8_t status;       /* EDGEBAT_STATUS_OK when all cells are, else that of the first other one */
#if EDGEBAT_RESISTANCE
    uint32_t resistance_uOhm; /* of all cells together at 25 degC; UINT32_MAX: that of a cell is not known */
    uint16_t grown; /* place of the cell whose resistance has grown most; EDGEBAT_UNKNOWN: none is known */
    uint16_t grown_cpct;       /* its resistance of that when new, 0.01 % */
    uint16_t grown_sigma_cpct; /* standard deviation of its resistance, 0.01 % of it */
#endif
} edgebat_pack_view_t;

/** So many charges make a cell's usual part. */
#define EDGEBAT_PACK_USUAL 8U

/** Bytes of a saved state. */
#define EDGEBAT_PACK_SAVED_BYTES(count) (16U + 6U * (count))

/** Begin; what is in `saved` (NULL: nothing) goes on when it is whole and of as many cells. EDGEBAT_OK,
 * EDGEBAT_ERR_NULL, EDGEBAT_ERR_CONFIG, or the reason why the state was refused: EDGEBAT_ERR_LENGTH, _FORMAT,
 * _DAMAGED, and the pack begins anew. */
int edgebat_pack_init(edgebat_pack_t *pack, edgebat_pack_cell_t *cells, uint16_t count, int16_t mean_mV,
                      uint32_t reference_mAh, const void *saved, uint32_t saved_bytes);

/** What is known of one cell now. EDGEBAT_ERR_CONFIG: there is no such cell. */
int edgebat_pack_set(edgebat_pack_t *pack, uint16_t cell, const edgebat_result_t *result);

/** A charge has ended: compare all cells that have come through the window since. At least three are needed. Takes time
 * that grows with the square of the number of cells. */
int edgebat_pack_compare(edgebat_pack_t *pack);

/** All cells together. */
int edgebat_pack_view(const edgebat_pack_t *pack, edgebat_pack_view_t *view);

/** A cell that was swapped is known now: reset its estimator (edgebat_reset, EDGEBAT_RESET_MODULE) and go on. */
int edgebat_pack_accept(edgebat_pack_t *pack, uint16_t cell);

/** Write what must survive, after every comparison: a module is swapped while the power is off. */
int edgebat_pack_state_get(edgebat_pack_t *pack, void *buffer, uint32_t bytes);

#ifdef __cplusplus
}
#endif

#endif
