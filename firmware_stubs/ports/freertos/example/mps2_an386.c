/*
 * mps2_an386.c - reset, text and end on the simulated board mps2-an386 (Cortex-M4), by semihosting.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdint.h>

#define SEMIHOSTING_WRITE0 0x04U
#define SEMIHOSTING_EXIT_EXTENDED 0x20U
#define APPLICATION_EXIT 0x20026U

extern uint32_t stack_top[], data_load[], data_start[], data_end[], bss_start[],
    bss_end[]; /* linker script */

int main(void);
void reset_handler(void);
void svc_handler(void);
void pendsv_handler(void);
void systick_handler(void);
void board_print(const char *text);
void board_exit(int code);

static void semihosting(uint32_t operation, const void *argument) {
    register uint32_t r0 __asm__("r0") = operation;
    register const void *r1 __asm__("r1") = argument;
    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
}

void board_print(const char *text) {
    semihosting(SEMIHOSTING_WRITE0, text);
}

void board_exit(int code) {
    const uint32_t block[2] = {APPLICATION_EXIT, (uint32_t)code};
    semihosting(SEMIHOSTING_EXIT_EXTENDED, block);
    for (;;) {
    }
}

static void fault(void) {
    board_print("fault\n");
    board_exit(2);
}

void reset_handler(void) {
    const uint32_t *from = data_load;
    for (uint32_t *to = data_start; to < data_end; to++) {
        *to = *from++;
    }
    for (uint32_t *to = bss_start; to < bss_end; to++) {
        *to = 0U;
    }
    board_exit(main());
}

typedef void (*vector_t)(void);
__attribute__((section(".vectors"), used)) static const vector_t vectors[16] = {
    (vector_t)(uintptr_t)stack_top,
    reset_handler,
    fault,
    fault,
    fault,
    fault,
    fault,
    0,
    0,
    0,
    0,
    svc_handler,
    fault,
    0,
    pendsv_handler,
    systick_handler,
};
