/*
 * proof_any_restore.c - the start from any saved state with a model of any window. The code of proof_restore.c, compiled with EDGEBAT_ANY_WINDOW.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "proof_restore.c"
