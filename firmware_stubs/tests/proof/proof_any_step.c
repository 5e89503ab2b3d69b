/*
 * proof_any_step.c - a step in any state with a model of any window. The code of proof_step.c, compiled with EDGEBAT_ANY_WINDOW.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "proof_step.c"
