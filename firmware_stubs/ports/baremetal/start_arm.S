/* Start-up, semihosting and the measured call for every Cortex-M: instructions of ARMv6-M only, so that one file serves all. */
    .syntax unified
    .thumb

/* Vector table: initial stack pointer, reset, and one handler for the 14 system exceptions. */
    .section .vectors, "a", %progbits
    .word stack_top
    .word reset_handler
    .rept 14
    .word fault_handler
    .endr

    .section .text.reset_handler, "ax", %progbits
    .global reset_handler
    .type reset_handler, %function
reset_handler:
#if defined(__ARM_FP)
    /* CPACR: full access to the floating-point unit. */
    ldr r0, =0xE000ED88
    ldr r1, [r0]
    ldr r2, =0x00F00000
    orrs r1, r2
    str r1, [r0]
    dsb
    isb
#endif
    bl bench_start
    b .
    .pool
    .size reset_handler, . - reset_handler

/* Tell the simulator that the program broke: SYS_EXIT with ADP_Stopped_RunTimeErrorUnknown. */
    .section .text.fault_handler, "ax", %progbits
    .global fault_handler
    .type fault_handler, %function
fault_handler:
    movs r0, #0x18
    ldr r1, =0x20023
    bkpt 0xAB
    b .
    .pool
    .size fault_handler, . - fault_handler

/* int32_t bench_semihost(uint32_t operation, const void *arguments) */
    .section .text.bench_semihost, "ax", %progbits
    .global bench_semihost
    .type bench_semihost, %function
bench_semihost:
    bkpt 0xAB
    bx lr
    .size bench_semihost, . - bench_semihost

/* int bench_invoke(const int8_t *input, void *output, void *scratch)
 *
 * Calls the model. Simulators count the instructions between the entry of BENCH_RUN and bench_return. The free stack
 * is painted before; what the model has overwritten after it is bench_stack_used.
 */
    .section .text.bench_invoke, "ax", %progbits
    .global bench_invoke
    .global bench_return
    .type bench_invoke, %function
bench_invoke:
    push {r4, r5, r6, lr}
    ldr r4, =stack_bottom
    ldr r5, =0xA5A5A5A5
    mov r6, sp
1:  cmp r4, r6
    bhs 2f
    stmia r4!, {r5}
    b 1b
2:  bl BENCH_RUN
bench_return:
    ldr r1, =stack_bottom
3:  cmp r1, r6
    bhs 4f
    ldr r2, [r1]
    cmp r2, r5
    bne 4f
    adds r1, r1, #4
    b 3b
4:  subs r1, r6, r1
    ldr r2, =bench_stack_used
    str r1, [r2]
    pop {r4, r5, r6, pc}
    .pool
    .size bench_invoke, . - bench_invoke
