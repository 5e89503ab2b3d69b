/*
 * soh_edgebat_assert.h - included before every file of the estimator (wscript: --preinclude), so that a fault
 * in the caller's program stops foxBMS where foxBMS stops on its own.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SOH_EDGEBAT_ASSERT_H_
#define SOH_EDGEBAT_ASSERT_H_

#include "fassert.h"

#define EDGEBAT_ASSERT(condition) FAS_ASSERT(condition)

#endif
