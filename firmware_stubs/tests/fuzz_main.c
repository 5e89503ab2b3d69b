/*
 * fuzz_main.c - calls all layouts of weights with the same bytes: their outputs must be the same.
 *
 * Linked with libFuzzer (clang), it is guided by coverage. With FUZZ_RANDOM it has its own main and needs no
 * more than a C compiler: `fuzz_kernels [runs [seed]]`.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "fuzz.h"

void fuzz_portable(const uint8_t *data, size_t size, fuzz_result_t *result);
void fuzz_dsp(const uint8_t *data, size_t size, fuzz_result_t *result);
void fuzz_thumb1(const uint8_t *data, size_t size, fuzz_result_t *result);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t calls;
static uint64_t inputs;

static void report(void) {
    (void)fprintf(stderr, "fuzz: %llu inputs, %llu calls of the library, all layouts equal\n",
                  (unsigned long long)inputs, (unsigned long long)calls);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    fuzz_result_t portable = {0, 0}, dsp = {0, 0}, thumb1 = {0, 0};
    fuzz_portable(data, size, &portable);
    fuzz_dsp(data, size, &dsp);
    fuzz_thumb1(data, size, &thumb1);
    fuzz_require(portable.hash == dsp.hash, "the dsp layout gives other outputs than the portable one");
    fuzz_require(portable.hash == thumb1.hash, "the thumb1 layout gives other outputs than the portable one");
    if (inputs++ == 0) {
        (void)atexit(report);
    }
    calls += portable.calls + dsp.calls + thumb1.calls;
    return 0;
}

#if defined(FUZZ_RANDOM)

enum { LONGEST = 3000 };

int main(int argc, char **argv) {
    static uint8_t data[LONGEST];
    const unsigned long runs = (argc > 1) ? strtoul(argv[1], NULL, 10) : 3000;
    uint64_t state = fuzz_seed((argc > 2) ? strtoul(argv[2], NULL, 10) : 1);
    for (unsigned long run = 0; run < runs; run++) {
        size_t size = LONGEST;
        for (size_t i = 0; i < size; i++) {
            data[i] = fuzz_random(&state);
            if (i == 8) {
                size = 9U + (size_t)((state >> 20) % (LONGEST - 9U));
            }
        }
        (void)LLVMFuzzerTestOneInput(data, size);
    }
    return 0;
}

#endif
