/*
 * proof_pack.c - any results of the cells of a string, in any state of it, and any bytes instead of a saved one.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "edgebat/edgebat_pack.h"

#include "proof.h"

#define CELLS 4U
#define PROOF_PACK_BYTES EDGEBAT_PACK_SAVED_BYTES(CELLS)

static edgebat_pack_cell_t proof_cells[CELLS];
static edgebat_pack_t proof_pack;

static void any_pack(void) {
    Frama_C_make_unknown((char *)proof_cells, sizeof proof_cells);
    proof_pack.cells = proof_cells;
    proof_pack.reference_mAh = (uint32_t)ANY_UNSIGNED(1U, 2000000U);
    proof_pack.sequence = (uint32_t)ANY_UNSIGNED(0U, UINT32_MAX);
    proof_pack.count = (uint16_t)CELLS;
    proof_pack.mean_mV = (int16_t)ANY_SIGNED(1, INT16_MAX);
    for (uint32_t i = 0U; i < CELLS; i++) {
        proof_cells[i].seen = (uint8_t)ANY_UNSIGNED(0U, EDGEBAT_PACK_USUAL);
    }
}

static void require_pack(void) {
    proof_require((proof_pack.cells == proof_cells) && (proof_pack.count <= CELLS));
    for (uint32_t i = 0U; i < CELLS; i++) {
        proof_require(proof_cells[i].seen <= EDGEBAT_PACK_USUAL);
    }
}

int main(void) {
    uint8_t saved[PROOF_PACK_BYTES];
    edgebat_result_t result;
    edgebat_pack_view_t view;
    any_pack();
    Frama_C_make_unknown((char *)&result, sizeof result);
    (void)edgebat_pack_set(&proof_pack, (uint16_t)ANY_UNSIGNED(0U, UINT16_MAX), &result);
    require_pack();
    any_pack();
    (void)edgebat_pack_compare(&proof_pack);
    require_pack();
    any_pack();
    (void)edgebat_pack_accept(&proof_pack, (uint16_t)ANY_UNSIGNED(0U, UINT16_MAX));
    require_pack();
    any_pack();
    proof_require(edgebat_pack_view(&proof_pack, &view) == EDGEBAT_OK);
    proof_require(edgebat_pack_state_get(&proof_pack, saved, PROOF_PACK_BYTES) == EDGEBAT_OK);
    Frama_C_make_unknown((char *)saved, sizeof saved);
    (void)edgebat_pack_init(&proof_pack, proof_cells, (uint16_t)CELLS,
                            (int16_t)ANY_SIGNED(INT16_MIN, INT16_MAX), (uint32_t)ANY_UNSIGNED(0U, UINT32_MAX),
                            saved, PROOF_PACK_BYTES);
    require_pack();
    return 0;
}
