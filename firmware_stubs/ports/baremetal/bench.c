/* The measuring program on a simulated microcontroller.
 *
 * A simulator that can write memory puts a window into bench_input and calls bench_invoke itself. Under QEMU,
 * bench_main reads windows from input.bin and writes output.bin over semihosting: per window the status
 * (int32) and the outputs, at the end the stack high-water mark in bytes (uint32).
 */
#include <stdint.h>
#include "bench_model.h" /* written per build: BENCH_RUN, BENCH_INPUT_LEN, ... */

enum { SYS_OPEN = 0x01, SYS_CLOSE = 0x02, SYS_WRITE = 0x05, SYS_READ = 0x06, SYS_EXIT = 0x18 };
enum { MODE_READ_BINARY = 1, MODE_WRITE_BINARY = 5 };
#define STOPPED_BY_EXIT 0x20026u
#define STOPPED_BY_ERROR 0x20023u

extern uint32_t data_load[], data_start[], data_end[], bss_start[], bss_end[]; /* linker script */

int32_t bench_semihost(uint32_t operation, const void *arguments);
int bench_invoke(const int8_t *input, bench_output_t *output, void *scratch);
void bench_start(void);
void bench_main(void);

/* Read from the ELF file by the host. */
extern const uint32_t bench_info[5];
__attribute__((section(".bench_info"), used)) const uint32_t bench_info[5] = {
    BENCH_INPUT_LEN, BENCH_OUTPUT_LEN, sizeof(bench_output_t), BENCH_SCRATCH_BYTES, BENCH_STATE_BYTES};

/* Aligned for any type a kernel may keep in its scratch memory. */
extern uint64_t bench_scratch[BENCH_SCRATCH_BYTES / 8 + 1];
extern int8_t bench_input[BENCH_INPUT_LEN];
extern bench_output_t bench_output[BENCH_OUTPUT_LEN];
extern uint32_t bench_stack_used;
__attribute__((used)) uint64_t bench_scratch[BENCH_SCRATCH_BYTES / 8 + 1];
__attribute__((used, aligned(4))) int8_t bench_input[BENCH_INPUT_LEN]; /* may hold floats */
__attribute__((used)) bench_output_t bench_output[BENCH_OUTPUT_LEN];
__attribute__((used)) uint32_t bench_stack_used;

static int32_t open_file(const char *name, uint32_t length, uint32_t mode) {
    const uintptr_t arguments[3] = {(uintptr_t)name, mode, length};
    return bench_semihost(SYS_OPEN, arguments);
}

/* SYS_READ and SYS_WRITE return the number of bytes they did not transfer. */
static int32_t transfer(uint32_t operation, int32_t file, const void *data, uint32_t length) {
    const uintptr_t arguments[3] = {(uintptr_t)file, (uintptr_t)data, length};
    return bench_semihost(operation, arguments);
}

static void stop(uint32_t reason) {
    (void)bench_semihost(SYS_EXIT, (const void *)(uintptr_t)reason);
    for (;;) {
    }
}

void bench_main(void) {
    const int32_t input = open_file("input.bin", 9, MODE_READ_BINARY);
    const int32_t output = open_file("output.bin", 10, MODE_WRITE_BINARY);
    uint32_t stack = 0;

    if (input < 0 || output < 0) {
        stop(STOPPED_BY_ERROR);
    }
    while (transfer(SYS_READ, input, bench_input, sizeof(bench_input)) == 0) {
        const int32_t status = bench_invoke(bench_input, bench_output, bench_scratch);
        if (bench_stack_used > stack) {
            stack = bench_stack_used;
        }
        if (transfer(SYS_WRITE, output, &status, sizeof(status)) != 0 ||
            transfer(SYS_WRITE, output, bench_output, sizeof(bench_output)) != 0) {
            stop(STOPPED_BY_ERROR);
        }
    }
    if (transfer(SYS_WRITE, output, &stack, sizeof(stack)) != 0) {
        stop(STOPPED_BY_ERROR);
    }
    stop(STOPPED_BY_EXIT);
}

/* Called by reset_handler on the initial stack: makes C's promises about variables true, then measures. */
void bench_start(void) {
    const uint32_t *from = data_load;
    uint32_t *to;

    for (to = data_start; to < data_end; to++) {
        *to = *from++;
    }
    for (to = bss_start; to < bss_end; to++) {
        *to = 0;
    }
    bench_main();
}
