/* A plugin of QEMU's TCG: for each request the lab guest serves, which blocks of chosen
 * parts of its kernel were executed. A block is the start of a translation block, as an
 * offset from the kernel's text: the same number in every mode, though nVHE and protected
 * mode run the hypervisor's text at other virtual addresses.
 *
 * The file `log=` is laid out by targets/kvm/lab/coverage/log.py; `page=` is the page of
 * guest/channel.h, in which the guest says which request it serves. Both are descriptors.
 * The machine has one CPU, so nothing here runs twice at a time. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "../../guest/channel.h"

/* QEMU's plugin interface (docs/devel/tcg-plugins), the few calls used here. They are the
 * same in every version; a plugin only has to name one that QEMU accepts. */
#define EXPORT __attribute__((visibility("default")))
typedef uint64_t plugin_id;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
enum { CB_NO_REGS };
typedef void on_translation(plugin_id, struct qemu_plugin_tb *);
typedef void on_execution(unsigned int cpu, void *data);
EXPORT int qemu_plugin_version = PLUGIN_API;
void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id, on_translation *);
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *, on_execution *, int, void *);
uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb *);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *, size_t);
void *qemu_plugin_insn_haddr(const struct qemu_plugin_insn *);

#define LOG_MAGIC 0x47424656u /* 'VFBG' */

struct range {
    uint32_t begin, end; /* offsets from the text's start */
};

struct log_header {
    uint32_t magic, ranges, logs, capacity;
    uint64_t text, text_size; /* virtual address of the kernel's text, and bytes */
};

/* Of one request; `sequence` modulo the number of logs is its index. */
struct log {
    uint32_t sequence, count;
    uint32_t blocks[];
};

_Static_assert(sizeof(struct log_header) == 32, "log header");

static const struct log_header *header;
static const struct range *ranges; /* ascending */
static uint8_t *logs;
static size_t log_size;
static const uint32_t *serving;

/* Per word of the text: the last request that began a block there. */
static uint32_t *last;

/* Where QEMU keeps the start of the text, once a block of it was translated at its
 * ordinary address; from then on every alias of the text is recognised. */
static const uint8_t *host_text;

static void executed(unsigned int cpu, void *data)
{
    uint32_t *cell = data, sequence = __atomic_load_n(serving, __ATOMIC_RELAXED);
    (void)cpu;
    if (*cell == sequence || sequence == 0)
        return;
    *cell = sequence;
    struct log *log = (struct log *)(logs + sequence % header->logs * log_size);
    if (log->sequence != sequence) {
        log->count = 0;
        log->sequence = sequence;
    }
    if (log->count < header->capacity) {
        log->blocks[log->count] = (uint32_t)(cell - last) * 4;
        log->count++;
    }
}

static bool text_offset(struct qemu_plugin_tb *tb, uint64_t *offset)
{
    const uint8_t *host = qemu_plugin_insn_haddr(qemu_plugin_tb_get_insn(tb, 0));
    uint64_t from_text = qemu_plugin_tb_vaddr(tb) - header->text;
    if (from_text < header->text_size) {
        if (host)
            host_text = host - from_text;
        *offset = from_text;
        return true;
    }
    if (!host || !host_text || (uint64_t)(host - host_text) >= header->text_size)
        return false;
    *offset = (uint64_t)(host - host_text);
    return true;
}

static bool chosen(uint64_t offset)
{
    size_t low = 0, high = header->ranges;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (offset < ranges[middle].begin)
            high = middle;
        else if (offset >= ranges[middle].end)
            low = middle + 1;
        else
            return true;
    }
    return false;
}

static void translated(plugin_id id, struct qemu_plugin_tb *tb)
{
    uint64_t offset;
    (void)id;
    if (text_offset(tb, &offset) && chosen(offset))
        qemu_plugin_register_vcpu_tb_exec_cb(tb, executed, CB_NO_REGS, last + offset / 4);
}

static void *map(int fd, int protection, size_t at_least)
{
    struct stat status;
    if (fd < 0 || fstat(fd, &status) != 0 || (uint64_t)status.st_size < at_least)
        return NULL;
    void *memory = mmap(NULL, (size_t)status.st_size, protection, MAP_SHARED, fd, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

struct qemu_info;

EXPORT int qemu_plugin_install(plugin_id id, const struct qemu_info *info, int argc, char **argv)
{
    int log_fd = -1, page_fd = -1;
    (void)info;
    for (int i = 0; i < argc; i++) {
        sscanf(argv[i], "log=%d", &log_fd);
        sscanf(argv[i], "page=%d", &page_fd);
    }
    const struct channel_header *page = map(page_fd, PROT_READ, CHANNEL_AREAS);
    uint8_t *memory = map(log_fd, PROT_READ | PROT_WRITE, sizeof *header);
    header = (const struct log_header *)memory;
    if (!page || !memory || header->magic != LOG_MAGIC) {
        fprintf(stderr, "the coverage plugin cannot map what it shares with vcpufuzz\n");
        return 1;
    }
    serving = &page->serving;
    ranges = (const struct range *)(header + 1);
    logs = (uint8_t *)(ranges + header->ranges);
    log_size = sizeof(struct log) + header->capacity * sizeof(uint32_t);
    last = calloc(header->text_size / 4 + 1, sizeof *last);
    if (!last)
        return 1;
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    return 0;
}
