/* standin.c - a trivial scheduler: coroutines, a list of tasks, a clock that moves when everybody waits. */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#include "FreeRTOS.h"
#include "queue.h"
#include "semphr.h"
#include "task.h"

#define TASKS 4
#define STACK_BYTES 65536

struct standin_task {
    ucontext_t context;
    void (*function)(void *);
    void *argument;
    UBaseType_t priority;
    QueueHandle_t waits_for;
    TickType_t delay;
    unsigned char stack[STACK_BYTES];
};

static struct standin_task tasks[TASKS];
static size_t count;
static struct standin_task *running;
static ucontext_t scheduler;

static void enter(void) {
    running->function(running->argument);
    abort(); /* a task must not return */
}

TaskHandle_t xTaskCreateStatic(void (*function)(void *), const char *name, uint32_t depth, void *argument,
                               UBaseType_t priority, StackType_t *stack, StaticTask_t *memory) {
    if (count == TASKS || name == NULL || depth == 0U || stack == NULL || memory == NULL) {
        abort();
    }
    struct standin_task *const task = &tasks[count++];
    getcontext(&task->context);
    task->context.uc_stack.ss_sp = task->stack;
    task->context.uc_stack.ss_size = sizeof(task->stack);
    task->function = function;
    task->argument = argument;
    task->priority = priority;
    makecontext(&task->context, enter, 0);
    return task;
}

static struct standin_task *most_urgent(void) {
    struct standin_task *found = NULL;
    for (size_t i = 0; i < count; i++) {
        struct standin_task *const task = &tasks[i];
        const int ready = (task->delay == 0U) && (task->waits_for == NULL || task->waits_for->count > 0U);
        if (ready && (found == NULL || task->priority > found->priority)) {
            found = task;
        }
    }
    return found;
}

static TickType_t now_ticks;

TickType_t xTaskGetTickCount(void) {
    return now_ticks;
}

/** For tests: so many milliseconds in which nobody does anything. */
void standin_wait(TickType_t milliseconds);
void standin_wait(TickType_t milliseconds) {
    now_ticks += milliseconds;
}

static int tick(void) {
    int delayed = 0;
    now_ticks++;
    for (size_t i = 0; i < count; i++) {
        if (tasks[i].delay > 0U && tasks[i].delay != portMAX_DELAY) {
            tasks[i].delay--;
            delayed = 1;
        }
    }
    return delayed;
}

void standin_run(void) {
    do {
        for (running = most_urgent(); running != NULL; running = most_urgent()) {
            running->waits_for = NULL;
            swapcontext(&scheduler, &running->context);
        }
    } while (tick());
}

void vTaskStartScheduler(void) {
    standin_run();
}

static void give_way(void) {
    swapcontext(&running->context, &scheduler);
}

void vTaskDelay(TickType_t ticks) {
    running->delay = ticks;
    give_way();
}

UBaseType_t uxTaskGetStackHighWaterMark(TaskHandle_t task) {
    return (task == NULL) ? 0U : 1U;
}

QueueHandle_t xQueueCreateStatic(UBaseType_t length, UBaseType_t size, uint8_t *items,
                                 StaticQueue_t *memory) {
    const StaticQueue_t queue = {items, length, size, 0U, 0U};
    *memory = queue;
    return memory;
}

/* Every so many-th sample finds the queue full, as behind a task that is starved. */
#if !defined(STANDIN_REFUSES)
#define STANDIN_REFUSES 0U
#endif

BaseType_t xQueueSendToBack(QueueHandle_t queue, const void *item, TickType_t wait) {
    if (wait != 0U) {
        abort(); /* the port never waits for room */
    }
    static unsigned sent;
    sent++;
    if ((queue->count == queue->length) ||
        ((STANDIN_REFUSES > 0U) && ((sent % (STANDIN_REFUSES + 1U)) == STANDIN_REFUSES))) {
        return pdFALSE;
    }
    memcpy(&queue->items[((queue->first + queue->count) % queue->length) * queue->size], item, queue->size);
    queue->count++;
    return pdTRUE;
}

BaseType_t xQueueSendToBackFromISR(QueueHandle_t queue, const void *item, BaseType_t *woken) {
    const BaseType_t sent = xQueueSendToBack(queue, item, 0U);
    if (woken != NULL && sent == pdTRUE) {
        *woken = pdTRUE;
    }
    return sent;
}

BaseType_t xQueueReceive(QueueHandle_t queue, void *item, TickType_t wait) {
    while (queue->count == 0U) {
        if (wait == 0U) {
            return pdFALSE;
        }
        running->waits_for = queue;
        give_way();
    }
    memcpy(item, &queue->items[queue->first * queue->size], queue->size);
    queue->first = (queue->first + 1U) % queue->length;
    queue->count--;
    return pdTRUE;
}

SemaphoreHandle_t xSemaphoreCreateMutexStatic(StaticSemaphore_t *memory) {
    memset(memory, 0, sizeof(*memory));
    return memory;
}

BaseType_t xSemaphoreTake(SemaphoreHandle_t mutex, TickType_t wait) {
    (void)wait;
    if (mutex->count != 0U) {
        abort(); /* taken twice */
    }
    mutex->count = 1U;
    return pdTRUE;
}

BaseType_t xSemaphoreGive(SemaphoreHandle_t mutex) {
    if (mutex->count != 1U) {
        abort(); /* not taken */
    }
    mutex->count = 0U;
    return pdTRUE;
}
