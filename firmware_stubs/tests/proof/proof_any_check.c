/*
 * proof_any_check.c - any bytes instead of a saved state of a model of any window. The code of proof_check.c, compiled with EDGEBAT_ANY_WINDOW.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "proof_check.c"
