/* Start-up, semihosting and the measured call for RISC-V; see start_arm.S. */
    .section .vectors, "ax", @progbits
    .global reset_handler
    .type reset_handler, @function
reset_handler:
    la sp, stack_top
    la t0, fault_handler
    csrw mtvec, t0
    call bench_start
1:  j 1b
    .size reset_handler, . - reset_handler

/* int32_t bench_semihost(uint32_t operation, const void *arguments)
 * The three instructions are the RISC-V semihosting call; they must be uncompressed and in one page. */
    .section .text.bench_semihost, "ax", @progbits
    .global bench_semihost
    .type bench_semihost, @function
    .balign 16
bench_semihost:
    .option push
    .option norvc
    slli x0, x0, 0x1f
    ebreak
    srai x0, x0, 7
    .option pop
    ret
    .size bench_semihost, . - bench_semihost

/* Tell the simulator that the program broke: SYS_EXIT with ADP_Stopped_RunTimeErrorUnknown. */
    .section .text.fault_handler, "ax", @progbits
    .global fault_handler
    .type fault_handler, @function
    .balign 4
fault_handler:
    li a0, 0x18
    li a1, 0x20023
    call bench_semihost
1:  j 1b
    .size fault_handler, . - fault_handler

/* int bench_invoke(const int8_t *input, void *output, void *scratch), as in start_arm.S */
    .section .text.bench_invoke, "ax", @progbits
    .global bench_invoke
    .global bench_return
    .type bench_invoke, @function
bench_invoke:
    addi sp, sp, -16
    sw ra, 12(sp)
    la t0, stack_bottom
    li t1, 0xA5A5A5A5
1:  bgeu t0, sp, 2f
    sw t1, 0(t0)
    addi t0, t0, 4
    j 1b
2:  call BENCH_RUN
bench_return:
    la t0, stack_bottom
    li t1, 0xA5A5A5A5
3:  bgeu t0, sp, 4f
    lw t2, 0(t0)
    bne t2, t1, 4f
    addi t0, t0, 4
    j 3b
4:  sub t0, sp, t0
    la t1, bench_stack_used
    sw t0, 0(t1)
    lw ra, 12(sp)
    addi sp, sp, 16
    ret
    .size bench_invoke, . - bench_invoke
