/*
 * edgebat_window.c - through which window a charge is read, and whether it is.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "edgebat_bms.h"

/* What went into the window before and has not come out again is missing now, as after a pause; a charge that comes from
 * far below shows that it was a pulse, if it was as short as one. Nor must a finished row that nobody has taken over yet
 * be written over. */
static EDGEBAT_SELDOM uint8_t is_repeated(const edgebat_t *battery) {
    const uint8_t lacks = (battery->above > edgebat_bms_part(battery, EDGEBAT_LACK_PART)) ? 1U : 0U;
    const uint8_t near =
        (((uint64_t)battery->charge < edgebat_bms_part(battery, EDGEBAT_LEAD_PART)) ||
         (battery->above >= ((uint64_t)battery->charge + edgebat_bms_part(battery, EDGEBAT_PULSE_PART))))
            ? 1U
            : 0U;
    return (((lacks != 0U) && (near != 0U)) || (battery->row_ready != 0U)) ? 1U : 0U;
}

void edgebat_bms_enter_window(edgebat_t *battery) {
    if (edgebat_bms_reads_any(battery) != 0U) {
        battery->phase = EDGEBAT_PHASE_INSIDE;
        battery->level = 0U;
        battery->inside = 0U;
    } else if (is_repeated(battery) != 0U) {
        edgebat_bms_give_up(battery, EDGEBAT_CHARGE_REPEATED);
    } else {
        battery->phase = EDGEBAT_PHASE_INSIDE;
        battery->above = 1U;
    }
}

#if EDGEBAT_ANY_WINDOW

/* With these no voltage leaves its type. */
#define MOST_STARTS 256U
#define MOST_STEP_MV 1000U

/* Of nominal capacity. */
#define ANY_LEAD_PART 10U

uint8_t edgebat_bms_choose_window(edgebat_t *battery, int16_t cell_mV) {
    const edgebat_model_t *const model = battery->model;
    const int32_t above_uV = ((int32_t)cell_mV * 1000) - model->level_uV[0];
    const int32_t step_uV = (int32_t)model->start_step_mV * 1000;
    const int32_t starts = (model->starts != 0U) ? (int32_t)model->starts : 1;
    int32_t next = 0;
    if (above_uV >= 0) {
        next = (step_uV != 0) ? ((above_uV / step_uV) + 1) : starts;
    }
    battery->reason = (uint8_t)EDGEBAT_CHARGE_NONE;
    battery->start_uV = step_uV * ((next < starts) ? next : starts);
    return (next < starts) ? 1U : 0U;
}

/* After a rest a charge's voltage rises faster at first than in a whole charge, and where one goes on that has paused some of
 * it is in the cell already: until so much has flowed no window is entered, and the first one lies above the voltage then. */
void edgebat_bms_follow_lead(edgebat_t *battery, int16_t cell_mV) {
    if ((edgebat_bms_reads_any(battery) != 0U) &&
        ((uint64_t)battery->charge < edgebat_bms_part(battery, ANY_LEAD_PART))) {
        battery->phase = EDGEBAT_PHASE_BELOW;
        if (edgebat_bms_choose_window(battery, cell_mV) == 0U) {
            edgebat_bms_give_up(battery, EDGEBAT_CHARGE_STARTS_ABOVE);
        }
    }
}

uint8_t edgebat_bms_next_window(edgebat_t *battery) {
    const edgebat_model_t *const model = battery->model;
    const int32_t step_uV = (int32_t)model->start_step_mV * 1000;
    const int32_t next_uV = battery->start_uV + (step_uV * (int32_t)model->next_start);
    uint8_t found = 0U;
    if ((battery->phase == EDGEBAT_PHASE_OVER) && (model->next_start != 0U) &&
        (next_uV < (step_uV * (int32_t)model->starts))) {
        battery->start_uV = next_uV;
        battery->phase = EDGEBAT_PHASE_BELOW;
        found = 1U;
    }
    return found;
}

void edgebat_bms_label_row(edgebat_t *battery, int32_t rate_mC) {
    const edgebat_model_t *const model = battery->model;
    int32_t *const behind = &edgebat_bms_row(battery)[model->increments];
    uint32_t next = 0U;
    if (model->starts != 0U) {
        behind[0] = (model->level_uV[0] + battery->start_uV) / 1000;
        behind[1] = 0; /* cycles ago */
        next = 2U;
    }
    if (model->columns > (model->increments + next)) {
        behind[next] = rate_mC;
    }
    battery->row_uV = battery->start_uV;
}

int edgebat_bms_starts_are_sound(const edgebat_model_t *model) {
    const uint32_t labels = (model->starts != 0U) ? 2U : 0U;
    const uint32_t least = (uint32_t)model->increments + labels;
    const int32_t width_uV = model->level_uV[model->increments] - model->level_uV[0];
    const int32_t next_uV = (int32_t)model->start_step_mV * 1000 * (int32_t)model->next_start;
    return (model->columns >= least) && (model->columns <= (least + 1U)) &&
           ((model->starts == 0U) ||
            ((model->starts <= MOST_STARTS) && (model->start_step_mV >= 1U) &&
             (model->start_step_mV <= MOST_STEP_MV) && (model->max_age <= EDGEBAT_MOST_AGE) &&
             (model->next_start <= MOST_STARTS) && ((next_uV == width_uV) || (next_uV == 0))));
}

#endif
