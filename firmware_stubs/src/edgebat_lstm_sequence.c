/*
 * edgebat_lstm_sequence.c - an LSTM layer over a whole sequence, every hidden state kept.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "edgebat_nn.h"

void edgebat_lstm_sequence(const edgebat_lstm_t *layer, const int8_t *x, uint32_t x_step, uint32_t steps,
                           int8_t *y, int8_t *state) {
    const uint32_t row = 4U * layer->columns4_h;
    edgebat_fill(state, 2U * (row + layer->units), 0);
    for (uint32_t t = 0; t < steps; t++) {
        edgebat_lstm_step(layer, x, state);
        edgebat_copy(state, row, y, row, 1, row);
        x += x_step;
        y += row;
    }
}
