/*
 * start_virtual.c - reset of the simulated Cortex-M4 board.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdint.h>

extern uint32_t stack_top[], data_load[], data_start[], data_end[], bss_start[],
    bss_end[]; /* linker script */

void reset_handler(void);
void vbms_idle(void);

typedef void (*vector_t)(void);
__attribute__((section(".vectors"), used)) static const vector_t vectors[16] = {
    (vector_t)(uintptr_t)stack_top,
    reset_handler,
    vbms_idle,
    vbms_idle,
    vbms_idle,
    vbms_idle,
    vbms_idle,
    vbms_idle,
    vbms_idle,
    vbms_idle,
    vbms_idle,
    vbms_idle,
    vbms_idle,
    vbms_idle,
    vbms_idle,
    vbms_idle};

/* The simulator waits here, and calls return to it. */
__attribute__((noinline, used)) void vbms_idle(void) {
    for (;;) {
        __asm__ volatile("nop");
    }
}

__attribute__((used)) void reset_handler(void) {
    const uint32_t *from = data_load;
    for (volatile uint32_t *to = data_start; to < data_end; to++) {
        *to = *from++;
    }
    for (volatile uint32_t *to = bss_start; to < bss_end; to++) {
        *to = 0U;
    }
    vbms_idle();
}
