/* settings.h - settings of one key in the file "settings". */
#ifndef STANDIN_ZEPHYR_SETTINGS_H
#define STANDIN_ZEPHYR_SETTINGS_H

#include <stddef.h>
#include <sys/types.h>

typedef ssize_t (*settings_read_cb)(void *argument, void *data, size_t length);
typedef int (*standin_set_t)(const char *key, size_t length, settings_read_cb read, void *argument);
struct standin_handler {
    const char *tree;
    standin_set_t set;
};
extern const struct standin_handler *standin_handler;

#define SETTINGS_STATIC_HANDLER_DEFINE(label, tree_, get_, set_, commit_, export_)                           \
    static const struct standin_handler label##_handler = {tree_, set_};                                     \
    const struct standin_handler *standin_handler = &label##_handler

int settings_subsys_init(void);
int settings_load_subtree(const char *tree);
int settings_save_one(const char *name, const void *value, size_t length);
int settings_name_steq(const char *name, const char *key, const char **next);

#endif
