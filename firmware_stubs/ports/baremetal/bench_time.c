/* Measures the time of a model on a computer: bench_time ITERATIONS ROUNDS, one window on standard input.
 *
 * Prints, for each round, the nanoseconds of one inference (the mean over its iterations) as a decimal
 * number.
 */
#define _POSIX_C_SOURCE 199309L /* clock_gettime */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include "bench_model.h" /* written per build: BENCH_RUN, BENCH_INPUT_LEN, ... */

static int8_t input[BENCH_INPUT_LEN];
static bench_output_t output[BENCH_OUTPUT_LEN];
static uint64_t scratch[BENCH_SCRATCH_BYTES / 8 + 1];

static double seconds(void) {
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

int main(int argc, char **argv) {
    const long iterations = argc > 1 ? atol(argv[1]) : 1000;
    const long rounds = argc > 2 ? atol(argv[2]) : 1;
    long round, i;

    if (iterations < 1 || fread(input, sizeof(input), 1, stdin) != 1) {
        return 1;
    }
    for (round = 0; round < rounds; round++) {
        const double start = seconds();
        for (i = 0; i < iterations; i++) {
            if (BENCH_RUN(input, output, scratch) != 0) {
                return 2;
            }
        }
        (void)printf("%.1f\n", (seconds() - start) * 1e9 / (double)iterations);
    }
    return 0;
}
