/*
 * fuzz_kernels.c - every kernel with arbitrary weights, sizes, roundings, inputs and states.
 *
 * Tables stay inside what the generator allows (edgebat/formats/c/requant.py, lstm.py and gru.py prove it for
 * every model); everything that arrives at run time may be any bytes. A kernel that leaves 32 bits, or its
 * buffers, ends the program under the sanitizers.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "fuzz_layers.h"
#include "edgebat_gru.h"
#include "edgebat_mul.h"
#include "edgebat_reverse.h"
#include "edgebat_take.h"

/*** Fully connected layers ***/

static void fully_connected(fuzz_input_t *in, fuzz_result_t *result) {
    static packed_t t;
    plain_t p;
    const uint8_t kind = fuzz_byte(in) % 6U;
    const int wide = kind == 1U || kind == 2U || kind == 4U;
    const uint32_t rows = (uint32_t)((kind == 2U) ? fuzz_range(in, 1, 3) : fuzz_range(in, 1, MAX_ROWS));
    if (!random_layer(&p, in, (kind == 1U) ? padded(rows) : rows, (uint32_t)fuzz_range(in, 1, MAX_COLUMNS4),
                      wide)) {
        return;
    }
    pack(&t, &p);
    const edgebat_dense_t dense = dense_of(&t, &p, padded(p.rows) / 4U);
    const edgebat_compact_t compact = compact_of(&t, &p, wide);
    const edgebat_rest_t rest = {t.pair_weights, t.pair_channels, t.rounding, (uint16_t)p.columns4,
                                 (uint16_t)p.rows};
    const size_t shift = fuzz_byte(in) & 3U;
    const size_t bytes = (kind == 0U || kind == 5U) ? padded(p.rows) : p.rows * ((wide != 0) ? 2U : 1U);
    int8_t *const x = fuzz_memory(in, 4U * p.columns4, shift);
    void *const y = fuzz_memory(NULL, bytes, 0);
    switch (kind) {
    case 0:
        edgebat_dense(&dense, x, y);
        break;
    case 1:
        fuzz_record_word(result, edgebat_head(&dense, x, y));
        break;
    case 2:
        fuzz_record_word(result, edgebat_head_rest(&rest, x, y));
        break;
    case 5:
        if (p.n >= 17 && p.split >= 16) {
            int8_t *const work = fuzz_memory(NULL, 8U * p.columns4, 4);
#if EDGEBAT_THUMB1
            const edgebat_fast_rounding_t rounding = EDGEBAT_FAST_ROUNDING(p.n, p.zero_point);
            const edgebat_fast_dense_t fast = {t.fast_weights, t.channels, rounding, dense.columns4,
                                               dense.blocks};
#else
            const edgebat_fast_dense_t fast = dense;
#endif
            edgebat_fast_dense(&fast, x, y, work);
            fuzz_free(work, 4);
        }
        break;
    default:
        fuzz_record_word(result, edgebat_compact(&compact, x, y));
        break;
    }
    result->calls++;
    fuzz_record(result, y, bytes);
    fuzz_free(y, 0);
    fuzz_free(x, shift);
}

/*** Convolutions ***/

static void convolution(fuzz_input_t *in, fuzz_result_t *result) {
    static packed_t t;
    plain_t p;
    const uint8_t kind = fuzz_byte(in) % 3U;
    const uint32_t taps = (uint32_t)fuzz_range(in, 1, 3), width = (uint32_t)fuzz_range(in, 1, 8);
    const uint32_t positions = (uint32_t)fuzz_range(in, 1, 5), pool = (uint32_t)fuzz_range(in, 1, 3);
    const uint32_t stride = (uint32_t)fuzz_range(in, 1, 3), step = padded(width) * stride;
    if (!random_layer(&p, in, (uint32_t)fuzz_range(in, 1, MAX_ROWS), taps * padded(width) / 4U, 0)) {
        return;
    }
    pack(&t, &p);
    const uint32_t row = padded(p.rows), windows = positions * pool;
    const size_t bytes = row * (positions + ((pool > 1U) ? 1U : 0U));
    const edgebat_dense_t dense = dense_of(&t, &p, row / 4U);
    int8_t *const y = fuzz_memory(NULL, bytes, 0);
    if (kind == 2U) {
        const uint32_t rows = (uint32_t)fuzz_range(in, 1, 12), gap = width + (uint32_t)fuzz_range(in, 0, 2);
        const edgebat_gather_t layer = {
            .dense = dense,
            .positions = (uint16_t)positions,
            .pool = (uint16_t)pool,
            .stride = (uint16_t)stride,
            .left = (uint16_t)fuzz_range(in, 0, 4),
            .rows = (uint16_t)rows,
            .width = (uint16_t)width,
            .step = (uint16_t)gap,
            .taps = (uint16_t)taps,
            .dilation = (uint16_t)fuzz_range(in, 1, 3),
            .zero_point = (int8_t)fuzz_byte(in),
        };
        int8_t *const x = fuzz_memory(in, (rows - 1U) * gap + width, 1);
        int8_t *const window = fuzz_memory(NULL, 4U * p.columns4, 4);
        edgebat_gather(&layer, x, y, window);
        fuzz_free(window, 4);
        fuzz_free(x, 1);
    } else {
        int8_t *const x = fuzz_memory(in, (windows - 1U) * step + 4U * p.columns4, 0);
        if (kind == 0U) {
            const edgebat_conv1d_t layer = {dense, (uint16_t)positions, (uint16_t)step, (uint16_t)pool};
            edgebat_conv1d(&layer, x, y);
        } else {
            const edgebat_compact_conv1d_t layer = {compact_of(&t, &p, 0), (uint16_t)positions,
                                                    (uint16_t)step, (uint16_t)pool, (uint16_t)row};
            for (size_t i = 0; i < bytes; i++) {
                y[i] = 0; /* this kernel leaves the padding of rows as it is */
            }
            edgebat_compact_conv1d(&layer, x, y);
        }
        fuzz_free(x, 0);
    }
    result->calls++;
    fuzz_record(result, y, row * positions);
    fuzz_free(y, 0);
}

/*** LSTM ***/

enum { MAX_UNITS = 6, MAX_X4 = 3, MAX_H4 = 2 };

/** One time step; hidden values, working space and cells may hold anything. */
static void lstm(fuzz_input_t *in, fuzz_result_t *result) {
    static edgebat_weights_t weights[MAX_UNITS * (MAX_X4 + MAX_H4)];
    edgebat_bias_t bias[MAX_UNITS], recurrent[MAX_UNITS];
    const uint32_t units = (uint32_t)fuzz_range(in, 1, MAX_UNITS), x4 = (uint32_t)fuzz_range(in, 1, MAX_X4);
    const uint32_t h4 = padded(units) / 4U;
    int64_t reach[2] = {0, 0};
    for (uint32_t unit = 0; unit < units; unit++) {
        for (uint32_t part = 0; part < 2U; part++) {
            plain_t p = {.rows = 4, .columns4 = (part == 0U) ? x4 : h4};
            for (uint32_t gate = 0; gate < 4U; gate++) {
                const int64_t own = random_row(&p, in, gate);
                reach[part] = (own > reach[part]) ? own : reach[part];
            }
            for (uint32_t c = 0; c < p.columns4; c++) {
                const edgebat_weights_t block = BLOCK_OF(EDGEBAT_WEIGHTS, p.w, 0, 4U * c);
                weights[unit * (x4 + h4) + ((part == 0U) ? c : x4 + c)] = block;
            }
            const edgebat_bias_t sums = EDGEBAT_UNIT(p.bias[0], p.bias[1], p.bias[2], p.bias[3]);
            *((part == 0U) ? &bias[unit] : &recurrent[unit]) = sums;
        }
    }
    const int32_t exponent = fuzz_range(in, -16, -8); /* of the cell's scale */
    const int32_t left = exponent + 12, right = (left < 0) ? -left : 0;
    const int32_t factor = 3 << ((left > 0) ? left : 0), half = (1 << right) >> 1;
    const int32_t hidden = fuzz_range(in, -31, -1);
    const int any = (fuzz_byte(in) & 1U) != 0U;
    edgebat_lstm_t layer = {
        .weights = weights,
        .bias = bias,
        .added_round = (1 << (29 + exponent)) + 1,
        .added_shift = 30 + exponent,
        .hidden_round = 0,
        .hidden_shift = 1 - hidden,
        .tanh_factor = factor,
        .tanh_half = half,
        .tanh_right = right,
        .columns4_x = (uint16_t)x4,
        .columns4_h = (uint16_t)h4,
        .units = (uint16_t)units,
    };
    edgebat_lstm_any_t any_layer = {
        .weights = weights,
        .bias = bias,
        .recurrent_bias = recurrent,
        .kept = {1 << 30, -14},
        .added = {1 << 30, -29 - exponent},
        .hidden = {fuzz_word(in) & INT32_MAX, hidden},
        .hidden_zero_point = fuzz_range(in, -128, 127),
        .tanh_factor = factor,
        .tanh_half = half,
        .tanh_right = right,
        .columns4_x = (uint16_t)x4,
        .columns4_h = (uint16_t)h4,
        .units = (uint16_t)units,
    };
    for (uint32_t gate = 0; gate < 4U; gate++) {
        for (uint32_t part = 0; part < 2U; part++) {
            const int32_t right_shift = fuzz_range(in, 0, 15);
            int64_t k = fuzz_word(in) & 0x1FFFF;
            while ((reach[part] + 1) * k >= INT32_MAX - (1 << 26)) {
                k >>= 1;
            }
            const edgebat_gate_t short_gate = EDGEBAT_GATE((int32_t)k, right_shift);
            *((part == 0U) ? &layer.gate[gate].input : &layer.gate[gate].recurrent) = short_gate;
            edgebat_q31_t q31 = {fuzz_word(in) & INT32_MAX, fuzz_range(in, -31, 8)};
            while (q31.exponent > 0 && reach[part] << q31.exponent > INT32_MAX) {
                q31.exponent--;
            }
            *((part == 0U) ? &any_layer.gate[gate].input : &any_layer.gate[gate].recurrent) = q31;
        }
    }
    const size_t shift = fuzz_byte(in) & 3U, bytes = 8U * h4 + 2U * units;
    int8_t *const x = fuzz_memory(in, 4U * x4, shift);
    int8_t *const state = fuzz_memory(in, bytes, 4);
    if (any == 0 && layer.hidden_shift <= 30) {
        layer.hidden_round = (1 << (layer.hidden_shift - 1)) + 1;
        edgebat_lstm_step(&layer, x, state);
    } else {
        edgebat_lstm_any_step(&any_layer, x, state);
    }
    result->calls++;
    fuzz_record(result, state, bytes);
    fuzz_free(state, 4);
    fuzz_free(x, shift);
}

/*** GRU ***/

enum { MAX_GRU4 = 2, GRU_RUNS = 3 * MAX_GRU4 };

/** One time step in either form; the state and working space may hold anything. */
static void gru(fuzz_input_t *in, fuzz_result_t *result) {
    static edgebat_weights_t weights[GRU_RUNS * (MAX_X4 + MAX_GRU4)];
    edgebat_bias_t bias[GRU_RUNS], recurrent[MAX_GRU4];
    const uint32_t x4 = (uint32_t)fuzz_range(in, 1, MAX_X4), h4 = (uint32_t)fuzz_range(in, 1, MAX_GRU4);
    int64_t reach = 0;
    for (uint32_t run = 0; run < 3U * h4; run++) {
        for (uint32_t part = 0; part < 2U; part++) {
            plain_t p = {.rows = 4, .columns4 = (part == 0U) ? x4 : h4};
            for (uint32_t row = 0; row < 4U; row++) {
                const int64_t own = random_row(&p, in, row);
                reach = (own > reach) ? own : reach;
            }
            for (uint32_t c = 0; c < p.columns4; c++) {
                const edgebat_weights_t block = BLOCK_OF(EDGEBAT_WEIGHTS, p.w, 0, 4U * c);
                weights[run * (x4 + h4) + ((part == 0U) ? c : x4 + c)] = block;
            }
            const edgebat_bias_t sums = EDGEBAT_UNIT(p.bias[0], p.bias[1], p.bias[2], p.bias[3]);
            *((part == 0U) ? &bias[run] : &recurrent[run % h4]) = sums;
        }
    }
    edgebat_gru_t layer = {
        .weights = weights,
        .bias = bias,
        .recurrent_bias = recurrent,
        .columns4_x = (uint16_t)x4,
        .columns4_h = (uint16_t)h4,
    };
    for (uint32_t gate = 0; gate < 3U; gate++) {
        for (uint32_t part = 0; part < 2U; part++) {
            const int32_t n = fuzz_range(in, 1, 24);
            int64_t k = 1 + (fuzz_word(in) & 0x3FFF);
            while (k > 1 && (reach * k >= INT32_MAX - (1 << 24) || (k << (24 - n)) > INT32_MAX)) {
                k >>= 1;
            }
            const edgebat_product_t product = EDGEBAT_PRODUCT((int32_t)k, n);
            *((part == 0U) ? &layer.gate[gate].input : &layer.gate[gate].recurrent) = product;
        }
    }
    const int before = (fuzz_byte(in) & 1U) != 0U;
    const size_t shift = fuzz_byte(in) & 3U, bytes = ((before != 0) ? 16U : 12U) * h4;
    int8_t *const x = fuzz_memory(in, 4U * x4, shift);
    int8_t *const state = fuzz_memory(in, bytes, 4);
    if (before != 0) {
        edgebat_gru_before_step(&layer, x, state);
    } else {
        edgebat_gru_step(&layer, x, state);
    }
    result->calls++;
    fuzz_record(result, state, bytes);
    fuzz_free(state, 4);
    fuzz_free(x, shift);
}

/*** Without weight matrices ***/

static void pooling(fuzz_input_t *in, fuzz_result_t *result) {
    plain_t p = {.rows = (uint32_t)(4 * fuzz_range(in, 1, 3))};
    const uint8_t kind = fuzz_byte(in) % 3U;
    const uint32_t row = p.rows, positions = (uint32_t)fuzz_range(in, 1, 5);
    const uint32_t size = (uint32_t)fuzz_range(in, 1, 6), stride = (uint32_t)fuzz_range(in, 1, 3);
    const uint32_t rows = (positions - 1U) * stride + size;
    int8_t weights[6 * MAX_ROWS];
    int32_t multiplier[MAX_ROWS];
    int64_t reach = 0;
    for (uint32_t c = 0; c < row; c++) {
        p.bias[c] = fuzz_word(in) >> 11;
        int64_t own = (p.bias[c] < 0) ? -(int64_t)p.bias[c] : p.bias[c];
        for (uint32_t i = 0; i < size; i++) {
            const int32_t w = (kind == 0U) ? fuzz_range(in, -127, 127) : 1;
            weights[i * row + c] = (int8_t)w;
            own += 128 * ((w < 0) ? -w : w);
        }
        reach = (own > reach) ? own : reach;
    }
    if (!choose_rounding(&p, in, reach, 0)) {
        return;
    }
    const edgebat_rounding_t rounding = EDGEBAT_ROUNDING(p.n, p.split, p.up, p.zero_point);
    for (uint32_t c = 0; c < row; c++) {
        multiplier[c] = EDGEBAT_MULTIPLIER(p.n, p.up, p.k[c]);
    }
    int8_t *const x = fuzz_memory(in, rows * row, 4);
    int8_t *const y = fuzz_memory(NULL, positions * row, 4);
    if (kind == 0U) {
        const edgebat_depthwise_t layer = {weights,
                                           p.bias,
                                           multiplier,
                                           rounding,
                                           (uint16_t)positions,
                                           (uint16_t)size,
                                           (uint16_t)row,
                                           (uint16_t)(stride * row),
                                           (uint16_t)row};
        edgebat_depthwise(&layer, x, y);
    } else if (kind == 1U) {
        const edgebat_average_t layer = {p.bias[0],      multiplier[0],    rounding,     (uint16_t)positions,
                                         (uint16_t)size, (uint16_t)stride, (uint16_t)row};
        edgebat_average(&layer, x, y);
    } else {
        edgebat_max_pool(x, y, row, positions, size, stride);
    }
    result->calls++;
    fuzz_record(result, y, positions * row);
    fuzz_free(y, 4);
    fuzz_free(x, 4);
}

static void sum_of_two(fuzz_input_t *in, fuzz_result_t *result) {
    plain_t p = {.rows = 1};
    const int32_t a = fuzz_word(in) >> 8, b = fuzz_word(in) >> 8, bias = fuzz_word(in) >> 6;
    const int64_t reach =
        128 * ((int64_t)((a < 0) ? -a : a) + ((b < 0) ? -b : b)) + ((bias < 0) ? -bias : bias);
    if (reach > INT32_MAX || !choose_rounding(&p, in, reach, 1)) {
        return;
    }
    const edgebat_rounding_t rounding = EDGEBAT_ROUNDING(p.n, p.split, p.up, p.zero_point);
    const edgebat_add_t layer = {a, b, bias, EDGEBAT_MULTIPLIER(p.n, p.up, p.k[0]), rounding};
    const uint32_t count = (uint32_t)fuzz_range(in, 0, 20);
    int8_t *const x = fuzz_memory(in, 2U * count, 1);
    edgebat_add(&layer, x, &x[count], x, count);
    result->calls++;
    fuzz_record(result, x, count);
    fuzz_free(x, 1);
}

static void product_and_places(fuzz_input_t *in, fuzz_result_t *result) {
    plain_t p = {.rows = 1};
    if (!choose_rounding(&p, in, 255 * 255, 0)) {
        return;
    }
    const edgebat_rounding_t rounding = EDGEBAT_ROUNDING(p.n, p.split, p.up, p.zero_point);
    const uint32_t rows = (uint32_t)fuzz_range(in, 1, 5), width = (uint32_t)fuzz_range(in, 1, 9);
    const uint32_t gate = (uint32_t)fuzz_range(in, 0, 2); /* of each value, of channels, of time steps */
    const uint32_t gates = (gate == 0U) ? rows * width : (gate == 1U) ? width : rows;
    const int32_t zero_a = fuzz_range(in, -128, 127), zero_b = fuzz_range(in, -128, 127);
    const edgebat_mul_t layer = {zero_a,
                                 zero_b,
                                 EDGEBAT_MULTIPLIER(p.n, p.up, p.k[0]),
                                 rounding,
                                 (uint16_t)rows,
                                 (uint16_t)width,
                                 (uint16_t)width,
                                 (uint16_t)((gate == 0U)   ? width
                                            : (gate == 1U) ? 0U
                                                           : 1U),
                                 (uint16_t)width,
                                 (uint8_t)(gate != 2U)};
    int8_t *const x = fuzz_memory(in, rows * width, 1), *const b = fuzz_memory(in, gates, 1);
    int8_t *const y = fuzz_memory(NULL, rows * width, 1);
    edgebat_mul(&layer, x, b, y);
    fuzz_record(result, y, rows * width);
    int8_t *const places = fuzz_memory(NULL, 2U * rows * width, 0);
    for (uint32_t i = 0; i < rows * width; i++) {
        places[2U * i] = (int8_t)fuzz_range(in, 0, (int32_t)(rows * width) - 1);
        places[2U * i + 1U] = 0;
    }
    edgebat_take(places, x, y, width, rows, width);
    result->calls += 2U;
    fuzz_record(result, y, rows * width);
    fuzz_free(places, 0);
    fuzz_free(y, 1);
    fuzz_free(b, 1);
    fuzz_free(x, 1);
}

static void elementwise(fuzz_input_t *in, fuzz_result_t *result) {
    const uint32_t count = 4U * (uint32_t)fuzz_range(in, 0, 6), rows = (uint32_t)fuzz_range(in, 0, 3);
    const int16_t low = (int16_t)fuzz_word(in), high = (int16_t)fuzz_word(in);
    int8_t *const table = fuzz_memory(in, 256, 0);
    int8_t *const x = fuzz_memory(in, 4U * count, 4);
    int8_t *const y = fuzz_memory(in, 4U * count, 4);
    edgebat_maximum(y, x, count);
    edgebat_lut(table, y, &y[count], count);
    edgebat_clamp(&x[count], count, (int8_t)((low < high) ? low >> 8 : high >> 8),
                  (int8_t)((low < high) ? high >> 8 : low >> 8));
    edgebat_clamp16((int16_t *)(void *)&x[2U * count], count, (low < high) ? low : high,
                    (low < high) ? high : low);
    edgebat_copy(x, count, &y[2U * count], count / 2U, rows, count / 2U);
    edgebat_reverse(x, count, &y[2U * count], count / 2U, rows, count / 2U);
    edgebat_fill(x, count / 4U, (int8_t)low);
    result->calls += 7U;
    fuzz_record(result, x, 4U * count);
    fuzz_record(result, y, 4U * count);
    fuzz_free(y, 4);
    fuzz_free(x, 4);
    fuzz_free(table, 0);
}

/** Any int32 from a sensor; constants as the exporter allows them (edgebat/formats/c/border.py). */
static void border(fuzz_input_t *in, fuzz_result_t *result) {
    const int32_t value = fuzz_word(in), offset = fuzz_word(in) >> fuzz_range(in, 0, 20);
    const int32_t multiplier = fuzz_word(in) >> fuzz_range(in, 0, 20);
    const int32_t y = fuzz_word(in) >> fuzz_range(in, 16, 31), zero_point = fuzz_range(in, -128, 127);
    const uint32_t shift = (uint32_t)fuzz_range(in, 1, 40);
    const int64_t half = INT64_C(1) << (shift - 1U);
    const int64_t end = offset + (((int64_t)y * multiplier + half) >> shift);
    if (multiplier > 0 &&
        INT64_C(0x80000000) + ((offset < 0) ? -(int64_t)offset : offset) < (INT64_MAX - half) / multiplier) {
        fuzz_record_word(result, edgebat_quantize(value, offset, multiplier, shift, zero_point));
        result->calls++;
    }
    if (end >= INT32_MIN && end <= INT32_MAX) {
        fuzz_record_word(result, edgebat_value(y, multiplier, shift, offset));
        result->calls++;
    }
    uint8_t bytes[16];
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = fuzz_byte(in);
    }
    const uint32_t length = (uint32_t)fuzz_range(in, 0, 16);
    const uint32_t first = edgebat_crc32(0, bytes, length);
    fuzz_require(edgebat_crc32(first, &bytes[length], 16U - length) == edgebat_crc32(0, bytes, 16),
                 "CRC by pieces");
    fuzz_record_word(result, first);
    result->calls += 3U;
}

void fuzz_variant(const uint8_t *data, size_t size, fuzz_result_t *result) {
    static void (*const parts[])(fuzz_input_t *, fuzz_result_t *) = {
        fully_connected, fully_connected, convolution,        lstm,        gru,
        pooling,         sum_of_two,      product_and_places, elementwise, border,
    };
    fuzz_input_t in = {data, size};
    for (int n = 0; n < 8 && (n == 0 || in.left != 0); n++) {
        parts[fuzz_byte(&in) % 10U](&in, result);
    }
}
