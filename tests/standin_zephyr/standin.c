/* standin.c - one work queue, one clock, settings in a file. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zephyr/kernel.h>
#include <zephyr/settings/settings.h>

static int64_t uptime_ms;
static struct k_work_q *the_queue;
static size_t length_read;

int k_mutex_lock(struct k_mutex *mutex, k_timeout_t timeout) {
    if (timeout.ms != -1 || mutex->locked != 0) {
        abort(); /* nobody else can hold it here */
    }
    mutex->locked = 1;
    return 0;
}

int k_mutex_unlock(struct k_mutex *mutex) {
    mutex->locked = 0;
    return 0;
}

void k_work_init(struct k_work *work, k_work_handler_t handler) {
    work->handler = handler;
    work->submitted = 0;
}

void k_work_queue_start(struct k_work_q *queue, k_thread_stack_t *stack, size_t size, int priority,
                        const struct k_work_queue_config *config) {
    if (stack == NULL || size == 0U || priority < 0 || config->name == NULL || the_queue != NULL) {
        abort();
    }
    the_queue = queue;
}

int k_work_submit_to_queue(struct k_work_q *queue, struct k_work *work) {
    queue->work = work;
    work->submitted = 1;
    return 1;
}

static void run(void) {
    while (the_queue != NULL && the_queue->work != NULL && the_queue->work->submitted != 0) {
        the_queue->work->submitted = 0;
        the_queue->work->handler(the_queue->work);
    }
}

int32_t k_sleep(k_timeout_t timeout) {
    run();
    uptime_ms += timeout.ms;
    return 0;
}

int64_t k_uptime_get(void) {
    return uptime_ms;
}

/** For tests from Python, where a structure as an argument is cumbersome. */
void standin_sleep(uint32_t ms);
void standin_sleep(uint32_t ms) {
    (void)k_sleep(K_MSEC(ms));
}

void k_thread_foreach(void (*each)(const struct k_thread *thread, void *argument), void *argument) {
    const struct k_thread thread = {{768U}};
    each(&thread, argument);
}

const char *k_thread_name_get(k_tid_t thread) {
    return (thread != NULL) ? "edgebat" : NULL;
}

int k_thread_stack_space_get(const struct k_thread *thread, size_t *unused) {
    *unused = thread->stack_info.size / 2U;
    return 0;
}

int settings_subsys_init(void) {
    return 0;
}

static ssize_t read_file(void *argument, void *data, size_t length) {
    length_read = fread(data, 1, length, (FILE *)argument);
    return (ssize_t)length_read;
}

int settings_load_subtree(const char *tree) {
    int code = 0;
    for (int cell = 0; cell < 16; cell++) {
        char key[16];
        char path[16];
        (void)snprintf(key, sizeof key, (cell == 0) ? "state" : "state%d", cell);
        (void)snprintf(path, sizeof path, (cell == 0) ? "settings" : "settings%d", cell);
        FILE *const file = fopen(path, "rb");
        if (file == NULL) {
            continue;
        }
        fseek(file, 0, SEEK_END);
        const size_t length = (size_t)ftell(file);
        rewind(file);
        code = strcmp(tree, standin_handler->tree) == 0 ? standin_handler->set(key, length, read_file, file)
                                                        : -ENOENT;
        code = (code == -ENOENT) ? 0 : code; /* a key that its owner does not want is no error */
        fclose(file);
    }
    return code;
}

/** Set by tests: the flash does not take anything. */
int standin_save_fails;
int settings_save_one(const char *name, const void *value, size_t length) {
    char path[16];
    (void)snprintf(path, sizeof path, "settings%s", &name[sizeof "edgebat/state" - 1U]);
    FILE *const file =
        (standin_save_fails == 0 && strncmp(name, "edgebat/state", 13) == 0) ? fopen(path, "wb") : NULL;
    if (file == NULL) {
        return -EIO;
    }
    fwrite(value, 1, length, file);
    fclose(file);
    return 0;
}

int settings_name_steq(const char *name, const char *key, const char **next) {
    (void)next;
    return strcmp(name, key) == 0;
}
