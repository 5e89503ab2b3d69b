/* A QEMU plugin that counts the instructions of each inference.
 *
 *   -plugin qemu_count.so,entry=<address of the model's run function>,return=<address it returns to>
 *
 * prints one decimal number per inference through QEMU's plugin log (-d plugin -D <file>). The few prototypes
 * of QEMU's plugin interface it needs are written out here, because distributions ship the emulator without
 * its header.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef QEMU_PLUGIN_API
#define QEMU_PLUGIN_API 1
#endif

#define EXPORT __attribute__((visibility("default")))

typedef uint64_t qemu_plugin_id_t;
struct qemu_plugin_tb;
typedef void (*translate_callback)(qemu_plugin_id_t, struct qemu_plugin_tb *);
typedef void (*execute_callback)(unsigned int, void *);
enum { CALLBACK_USES_NO_REGISTERS = 0 };

extern void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id, translate_callback callback);
extern void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *block, execute_callback callback,
                                                 int flags, void *user_data);
extern size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *block);
extern uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb *block);
extern void qemu_plugin_outs(const char *text);

extern EXPORT int qemu_plugin_version;
EXPORT int qemu_plugin_version = QEMU_PLUGIN_API;
EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const void *info, int argc, char **argv);

struct block {
    uint64_t address;
    uint64_t instructions;
};

static uint64_t entry_address, return_address, count;
static int counting;

static void executed(unsigned int cpu, void *user_data) {
    const struct block *block = user_data;
    char line[24];

    (void)cpu;
    if (counting && block->address == return_address) {
        counting = 0;
        (void)snprintf(line, sizeof(line), "%llu\n", (unsigned long long)count);
        qemu_plugin_outs(line);
    } else if (!counting && block->address == entry_address) {
        counting = 1;
        count = 0;
    }
    count += block->instructions;
}

static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb *qemu_block) {
    /* Lives as long as the translated code, that is, until QEMU ends: nothing frees it. */
    struct block *block = malloc(sizeof(*block));

    (void)id;
    if (block == NULL) {
        abort();
    }
    block->address = qemu_plugin_tb_vaddr(qemu_block);
    block->instructions = qemu_plugin_tb_n_insns(qemu_block);
    qemu_plugin_register_vcpu_tb_exec_cb(qemu_block, executed, CALLBACK_USES_NO_REGISTERS, block);
}

int qemu_plugin_install(qemu_plugin_id_t id, const void *info, int argc, char **argv) {
    int i;

    (void)info;
    for (i = 0; i < argc; i++) {
        if (strncmp(argv[i], "entry=", 6) == 0) {
            entry_address = strtoull(argv[i] + 6, NULL, 0);
        } else if (strncmp(argv[i], "return=", 7) == 0) {
            return_address = strtoull(argv[i] + 7, NULL, 0);
        } else {
            return 1;
        }
    }
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    return 0;
}
