/*
 * soh_edgebat.h - learned state of health in foxBMS 2. See soh_edgebat.c.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SOH_EDGEBAT_H_
#define SOH_EDGEBAT_H_

/*========== Includes =======================================================*/
#include "soh_edgebat_cfg.h"

#include "fstd_types.h"

#include <stdint.h>

/*========== Macros and Definitions =========================================*/

/*========== Extern Constant and Variable Declarations ======================*/

/*========== Extern Function Prototypes =====================================*/
/**
 * @brief   everything that is known of one cell block: SOH, deviation, RUL, status; see edgebat/edgebat.h
 * @param[in]   stringNumber    string addressed
 * @param[in]   cell            cell block of the string, counted over its modules
 * @param[out]  pResult         what is known
 * @return  #STD_OK, or #STD_NOT_OK while the estimator of this cell block has not begun
 */
extern STD_RETURN_TYPE_e SOH_GetResult(uint8_t stringNumber, uint16_t cell, edgebat_result_t *pResult);

/*========== Externalized Static Functions Prototypes (Unit Test) ===========*/

#endif /* SOH_EDGEBAT_H_ */
