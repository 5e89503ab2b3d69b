/*
 * fuzz_model.c - every function of a generated model named "net", in any order, with any bytes.
 *
 * Windows, single steps, heads and slices with arbitrary inputs, states and working memory, pointers that are
 * NULL or misaligned, engineering values over the whole range of int32.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "fuzz.h"
#include "net.h"

#include <string.h>

enum { OUTPUT_BYTES = NET_OUTPUT_LEN * sizeof(net_output_t) };

/** Buffers of one call; pointers that are to be NULL or misaligned are so. */
typedef struct {
    int8_t *input;
    net_output_t *output;
    uint8_t *scratch;
    uint8_t *state;
    size_t input_shift, scratch_shift, state_shift;
    unsigned nulls; /* bit 0: input, 1: output, 2: scratch, 3: state */
} memory_t;

/** Most calls are right; one in four is wrong in one place. */
static void choose(memory_t *m, fuzz_input_t *in) {
    const uint8_t choice = fuzz_byte(in);
    m->nulls = (choice >= 240) ? 1U << (choice & 3U) : 0U;
    m->input_shift = choice & 3U; /* any address is right */
    m->scratch_shift = (choice >= 192 && choice < 216) ? 1U + choice % 3U : 4U * (choice & 1U);
    m->state_shift = (choice >= 216 && choice < 240) ? 1U + choice % 3U : 4U * (choice & 1U);
}

static int expected(const memory_t *m, unsigned used, size_t aligned) {
    if ((m->nulls & used) != 0U) {
        return EDGEBAT_ERR_NULL;
    }
    return ((aligned & 3U) != 0U) ? EDGEBAT_ERR_ALIGN : EDGEBAT_OK;
}

#define POINTER(m, bit, pointer) ((((m)->nulls >> (bit)) & 1U) != 0U ? NULL : (pointer))

static void returned(fuzz_result_t *result, int status, int wanted) {
    fuzz_require(status == wanted, "a return code");
    fuzz_record_word(result, status);
    result->calls++;
}

static void run(memory_t *m, fuzz_result_t *result) {
    const int status = net_run(POINTER(m, 0, m->input), POINTER(m, 1, m->output), POINTER(m, 2, m->scratch));
    returned(result, status, expected(m, 7U, m->scratch_shift));
}

#if NET_STATE_BYTES
static void reset(memory_t *m, fuzz_result_t *result) {
    returned(result, net_reset(POINTER(m, 3, m->state)), expected(m, 8U, m->state_shift));
}

static void step(memory_t *m, fuzz_result_t *result) {
    const int status = net_step(POINTER(m, 0, m->input), POINTER(m, 3, m->state));
    returned(result, status, expected(m, 9U, m->state_shift));
}

static void head(memory_t *m, fuzz_result_t *result) {
    const int status = net_head(POINTER(m, 3, m->state), POINTER(m, 1, m->output), POINTER(m, 2, m->scratch));
    const int works = NET_HEAD_SCRATCH_BYTES != 0; /* else scratch may be anything */
    returned(result, status,
             expected(m, works ? 14U : 10U, m->state_shift | (works ? m->scratch_shift : 0U)));
}
#endif

#if defined(NET_SLICES)
/** The slices of a run in their order give what the run gives; one that does not exist is refused. */
static void slices(memory_t *m, fuzz_input_t *in, fuzz_result_t *result) {
    const uint32_t beyond = (uint32_t)NET_SLICES + fuzz_byte(in);
    for (uint32_t i = 0; i <= NET_SLICES; i++) {
        const uint32_t slice = (i < NET_SLICES) ? i : beyond;
        const int status = net_run_slice(slice, POINTER(m, 0, m->input), POINTER(m, 1, m->output),
                                         POINTER(m, 2, m->scratch));
        const int wanted = expected(m, 7U, m->scratch_shift);
        returned(result, status, (wanted == EDGEBAT_OK && slice == beyond) ? EDGEBAT_ERR_SLICE : wanted);
    }
    if (expected(m, 7U, m->scratch_shift) == EDGEBAT_OK) {
        net_output_t sliced[NET_OUTPUT_LEN];
        (void)memcpy(sliced, m->output, OUTPUT_BYTES);
        run(m, result);
        fuzz_require(memcmp(sliced, m->output, OUTPUT_BYTES) == 0, "the output of a sliced run");
    }
}
#endif

#if EDGEBAT_SELFTEST
static void selftest(memory_t *m, fuzz_result_t *result) {
    const int status = net_selftest(POINTER(m, 1, m->output), POINTER(m, 2, m->scratch));
    returned(result, status, expected(m, 6U, m->scratch_shift));
    fuzz_require(net_crc32() == NET_CRC32, "the checksum of the tables");
    result->calls++;
}
#endif

#if defined(NET_COLUMNS)
static void border(memory_t *m, fuzz_input_t *in, fuzz_result_t *result) {
    enum { ROWS = NET_INPUT_LEN / NET_COLUMNS };
    int32_t values[ROWS * NET_COLUMNS];
    for (uint32_t i = 0; i < ROWS * NET_COLUMNS; i++) {
        values[i] = fuzz_word(in);
    }
    net_quantize(values, m->input, ROWS);
    fuzz_record_word(result, net_soh(m->output));
    result->calls += 2U;
}
#endif

void fuzz_variant(const uint8_t *data, size_t size, fuzz_result_t *result) {
    fuzz_input_t input = {data, size};
    fuzz_input_t *const in = &input;
    memory_t m = {0};
    uint8_t order[12]; /* first of all, so that a few bytes reach every function */
    const uint32_t count = 1U + fuzz_byte(in) % sizeof order;
    for (uint32_t n = 0; n < count; n++) {
        order[n] = fuzz_byte(in);
    }
    choose(&m, in);
    m.input = fuzz_memory(in, NET_INPUT_LEN, m.input_shift);
    m.output = fuzz_memory(in, OUTPUT_BYTES, 0);
    m.scratch = fuzz_memory(NULL, NET_SCRATCH_BYTES, m.scratch_shift);
    m.state = fuzz_memory(in, NET_STATE_BYTES, m.state_shift);
    for (uint32_t n = 0; n < count; n++) {
        switch (order[n] % 8U) {
#if NET_STATE_BYTES
        case 1:
            reset(&m, result);
            break;
        case 2:
            step(&m, result);
            break;
        case 3:
            head(&m, result);
            break;
#endif
#if defined(NET_SLICES)
        case 4:
            slices(&m, in, result);
            break;
#endif
#if defined(NET_COLUMNS)
        case 5:
            border(&m, in, result);
            break;
#endif
#if EDGEBAT_SELFTEST
        case 6:
            selftest(&m, result);
            break;
#endif
        case 7:
            for (uint32_t i = 0; i < NET_INPUT_LEN; i++) {
                m.input[i] = (int8_t)fuzz_byte(in);
            }
            break;
        default:
            run(&m, result);
            break;
        }
        fuzz_record(result, m.input, NET_INPUT_LEN);
        fuzz_record(result, m.output, OUTPUT_BYTES);
        fuzz_record(result, m.state, NET_STATE_BYTES);
    }
    fuzz_free(m.input, m.input_shift);
    fuzz_free(m.output, 0);
    fuzz_free(m.scratch, m.scratch_shift);
    fuzz_free(m.state, m.state_shift);
}
