/* A plugin of QEMU's TCG: the CPU says that its physical addresses have 40 bits at most.
 *
 * QEMU's best CPU has 48 or 52, and none of its switches gives it fewer. KVM walks through all of
 * them, 1 GiB a step, when a protected VM or a vcpu with EL2 goes, which then takes most of a case.
 * What the kernel reads of ID_AA64MMFR0_EL1 is lowered before the next instruction sees it, as a
 * CPU with fewer would give it. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* QEMU's plugin interface (docs/devel/tcg-plugins) as of version 7, the few calls used here, and
 * what they take of GLib. */
#define EXPORT __attribute__((visibility("default")))
typedef uint64_t plugin_id;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
struct qemu_plugin_register;
struct descriptor {
    struct qemu_plugin_register *handle;
    const char *name;
};
struct array {
    uint8_t *data;
    unsigned int length;
};
enum { CB_RW_REGS = 2 };
typedef void on_translation(struct qemu_plugin_tb *, void *data);
typedef void on_execution(unsigned int cpu, void *data);
EXPORT int qemu_plugin_version = PLUGIN_API;
void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id, on_translation *, void *data);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *, size_t);
size_t qemu_plugin_insn_data(const struct qemu_plugin_insn *, void *, size_t);
void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *, on_execution *, int, void *);
struct array *qemu_plugin_get_registers(void);
bool qemu_plugin_read_register(struct qemu_plugin_register *, struct array *);
bool qemu_plugin_write_register(struct qemu_plugin_register *, struct array *);
struct array *g_byte_array_new(void);
struct array *g_byte_array_set_size(struct array *, unsigned int);
unsigned int g_array_get_element_size(struct array *);

#define MRS_ID_AA64MMFR0 0xd5380700u /* and the register that it goes to */
#define REGISTERS 31u                /* that it can go to; XZR is none */
#define PARANGE 0xfu                 /* bits of it (Arm ARM, D24.2.85) */
#define BITS_40 2u

/* Of a thread, as CPUs may run in threads of their own. */
static _Thread_local struct qemu_plugin_register *registers[REGISTERS];
static _Thread_local struct array *value;

/* They can be asked for only where a CPU executes. */
static void find_registers(void)
{
    struct array *all = qemu_plugin_get_registers();
    unsigned int size = g_array_get_element_size(all);
    for (unsigned int i = 0; i < all->length; i++) {
        const struct descriptor *one = (const void *)(all->data + (size_t)i * size);
        char *end;
        if (one->name[0] != 'x')
            continue;
        unsigned long number = strtoul(one->name + 1, &end, 10);
        if (*end == 0 && end != one->name + 1 && number < REGISTERS)
            registers[number] = one->handle;
    }
    value = g_byte_array_new();
}

static void on_read(unsigned int cpu, void *data)
{
    (void)cpu;
    if (!value)
        find_registers();
    struct qemu_plugin_register *reg = registers[(uintptr_t)data];
    g_byte_array_set_size(value, 0);
    if (!reg || !qemu_plugin_read_register(reg, value) || value->length < sizeof(uint64_t))
        return;
    if ((value->data[0] & PARANGE) > BITS_40) {
        value->data[0] = (uint8_t)((value->data[0] & ~PARANGE) | BITS_40);
        qemu_plugin_write_register(reg, value);
    }
}

static void translate(struct qemu_plugin_tb *tb, void *data)
{
    (void)data;
    size_t count = qemu_plugin_tb_n_insns(tb);
    for (size_t i = 0; i + 1 < count; i++) {
        uint32_t word = 0;
        qemu_plugin_insn_data(qemu_plugin_tb_get_insn(tb, i), &word, sizeof word);
        if (word - MRS_ID_AA64MMFR0 < REGISTERS)
            qemu_plugin_register_vcpu_insn_exec_cb(qemu_plugin_tb_get_insn(tb, i + 1), on_read,
                                                   CB_RW_REGS,
                                                   (void *)(uintptr_t)(word - MRS_ID_AA64MMFR0));
    }
}

EXPORT int qemu_plugin_install(plugin_id id, const void *info, int argc, char **argv)
{
    (void)info, (void)argc, (void)argv;
    qemu_plugin_register_vcpu_tb_trans_cb(id, translate, NULL);
    return 0;
}
