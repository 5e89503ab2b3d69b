/* kernel.h - the few calls of Zephyr's kernel that the port and its sample use, for tests on a computer. Not
 * Zephyr. */
#ifndef STANDIN_ZEPHYR_KERNEL_H
#define STANDIN_ZEPHYR_KERNEL_H

#include <stddef.h>
#include <stdint.h>

#define ARG_UNUSED(x) ((void)(x))
#define MIN(a, b) (((a) < (b)) ? (a) : (b))

typedef struct {
    int64_t ms;
} k_timeout_t;
#define K_FOREVER ((k_timeout_t){-1})
#define K_MSEC(milliseconds) ((k_timeout_t){milliseconds})

struct k_mutex {
    int locked;
};
#define K_MUTEX_DEFINE(name) struct k_mutex name
int k_mutex_lock(struct k_mutex *mutex, k_timeout_t timeout);
int k_mutex_unlock(struct k_mutex *mutex);

typedef struct {
    unsigned char byte;
} k_thread_stack_t;
#define K_THREAD_STACK_DEFINE(name, size) k_thread_stack_t name[size]
#define K_THREAD_STACK_SIZEOF(name) sizeof(name)

struct k_thread {
    struct {
        size_t size;
    } stack_info;
};
typedef struct k_thread *k_tid_t;
void k_thread_foreach(void (*each)(const struct k_thread *thread, void *argument), void *argument);
const char *k_thread_name_get(k_tid_t thread);
int k_thread_stack_space_get(const struct k_thread *thread, size_t *unused);

struct k_work;
typedef void (*k_work_handler_t)(struct k_work *work);
struct k_work {
    k_work_handler_t handler;
    int submitted;
};
struct k_work_q {
    struct k_work *work;
};
struct k_work_queue_config {
    const char *name;
};
void k_work_init(struct k_work *work, k_work_handler_t handler);
void k_work_queue_start(struct k_work_q *queue, k_thread_stack_t *stack, size_t size, int priority,
                        const struct k_work_queue_config *config);
int k_work_submit_to_queue(struct k_work_q *queue, struct k_work *work);

/** Lets the work queue run until it is empty, then moves the clock. */
int32_t k_sleep(k_timeout_t timeout);
int64_t k_uptime_get(void);

#endif
