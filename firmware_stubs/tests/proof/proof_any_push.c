/*
 * proof_any_push.c - any sample, in any state, with a model of any window. The code of proof_push.c, compiled with EDGEBAT_ANY_WINDOW.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "proof_push.c"
