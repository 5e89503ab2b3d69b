/* The measuring program on a computer: windows from standard input, status and outputs of each to standard
 * output. */
#include <stdint.h>
#include <stdio.h>
#include "bench_model.h" /* written per build: BENCH_RUN, BENCH_INPUT_LEN, ... */

static int8_t input[BENCH_INPUT_LEN];
static bench_output_t output[BENCH_OUTPUT_LEN];
static uint64_t scratch[BENCH_SCRATCH_BYTES / 8 + 1];

/* The byte order and the sizes of what follows, so that the reader can check them. */
static const uint32_t header[4] = {0x01020304u, BENCH_INPUT_LEN, BENCH_OUTPUT_LEN, sizeof(bench_output_t)};

int main(void) {
    if (fwrite(header, sizeof(header), 1, stdout) != 1) {
        return 1;
    }
    while (fread(input, sizeof(input), 1, stdin) == 1) {
        const int32_t status = BENCH_RUN(input, output, scratch);
        if (fwrite(&status, sizeof(status), 1, stdout) != 1 ||
            fwrite(output, sizeof(output), 1, stdout) != 1) {
            return 1;
        }
    }
    return fflush(stdout) == 0 ? 0 : 1;
}
