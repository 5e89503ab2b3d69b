/*
 * FreeRTOSConfig.h - the kernel for the example: static allocation, 1 kHz.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FREERTOS_CONFIG_H
#define FREERTOS_CONFIG_H

/* what edgebat_task needs */
#define configSUPPORT_STATIC_ALLOCATION 1
#define configUSE_MUTEXES 1

/* what the example needs */
#define configSUPPORT_DYNAMIC_ALLOCATION 0
#define INCLUDE_vTaskDelay 1
#define INCLUDE_uxTaskGetStackHighWaterMark 1
#define configCHECK_FOR_STACK_OVERFLOW 2

/* the simulated board */
#define configCPU_CLOCK_HZ 25000000UL
#define configTICK_RATE_HZ 1000
#define configTICK_TYPE_WIDTH_IN_BITS TICK_TYPE_WIDTH_32_BITS
#define configMAX_PRIORITIES 4
#define configMINIMAL_STACK_SIZE 128
#define configMAX_TASK_NAME_LEN 10
#define configUSE_PREEMPTION 1
#define configUSE_IDLE_HOOK 0
#define configUSE_TICK_HOOK 0
#define configUSE_TIMERS 0
#define configKERNEL_INTERRUPT_PRIORITY 255
#define configMAX_SYSCALL_INTERRUPT_PRIORITY 128
#define configPRIO_BITS 8
#define configASSERT(condition)                                                                              \
    if (!(condition)) {                                                                                      \
        for (;;) {                                                                                           \
        }                                                                                                    \
    }

#define vPortSVCHandler svc_handler
#define xPortPendSVHandler pendsv_handler
#define xPortSysTickHandler systick_handler

#endif
