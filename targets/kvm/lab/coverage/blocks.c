/* A plugin of QEMU's TCG: for each request the lab guest serves, which blocks of chosen
 * parts of its kernel were executed. A block is the start of a translation block, as an
 * offset from the kernel's text: the same number in every mode, though nVHE and protected
 * mode run the hypervisor's text at other virtual addresses.
 *
 * Every chosen block counts its executions in generated code, without a call. The guest
 * executes a mark before and after each request; there the counters that moved are noted
 * and set back.
 *
 * Where QEMU can store in generated code, each chosen block also leaves its number. At the
 * kernel's entry for interrupts from itself, that is the block after which one came.
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

/* QEMU's plugin interface (docs/devel/tcg-plugins), the few calls used here. A plugin names
 * a version that QEMU accepts; what counts without a call changed in version 2, what is called
 * for a translation in version 7. */
#define EXPORT __attribute__((visibility("default")))
typedef uint64_t plugin_id;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
enum { CB_NO_REGS };
enum { INLINE_ADD_U64, INLINE_STORE_U64 };
typedef void on_execution(unsigned int cpu, void *data);
#if PLUGIN_API < 7
typedef void on_translation(plugin_id, struct qemu_plugin_tb *);
void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id, on_translation *);
#else
typedef void on_translation(struct qemu_plugin_tb *, void *data);
void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id, on_translation *, void *data);
#endif
EXPORT int qemu_plugin_version = PLUGIN_API;
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *, on_execution *, int, void *);
uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb *);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *, size_t);
void *qemu_plugin_insn_haddr(const struct qemu_plugin_insn *);

#define LOG_MAGIC 0x47424656u /* 'VFBG' */
#define MOST_BLOCKS (1u << 16) /* that are told apart: a campaign sees some thousands */
#define MOST_INTERRUPTED 61u   /* of one request: a stranger strikes some ten times */

struct range {
    uint32_t begin, end; /* offsets from the text's start */
};

struct log_header {
    uint32_t magic, ranges, logs, capacity;
    uint64_t text, text_size; /* virtual address of the kernel's text, and bytes */
    uint64_t vectors;         /* offset of its exception vectors; past the text: unknown */
};

/* Entries among the vectors (Arm ARM, D1.3.1): interrupts of the kernel itself, and calls
 * from user space, where what was executed before is over. */
#define FROM_KERNEL_IRQ 0x280
#define FROM_USER_SYNC 0x400

/* Of one request; `sequence` modulo the number of logs is its index. */
struct log {
    uint32_t sequence, count, interruptions;
    uint32_t interrupted[MOST_INTERRUPTED]; /* blocks after which an interrupt came */
    uint32_t blocks[];
};

_Static_assert(sizeof(struct log_header) == 40, "log header");

static const struct log_header *header;
static const struct range *ranges; /* ascending */
static uint8_t *logs;
static size_t log_size;
static const uint32_t *serving;

/* Blocks by number, in the order in which QEMU translated them first. */
static uint64_t *counters;            /* executions since the last mark */
static uint32_t offsets[MOST_BLOCKS]; /* from the text's start */
static uint32_t noted[MOST_BLOCKS];   /* the last request whose log has the block */
static uint32_t struck[MOST_BLOCKS];  /* the last whose log has it as interrupted */
static uint32_t blocks;               /* how many there are */
static uint32_t *numbers;             /* per word of the text: a block's number + 1, or 0 */

/* Where QEMU keeps the start of the text, once a block of it was translated at its
 * ordinary address; from then on every alias of the text is recognised. */
static const uint8_t *host_text;

static uint32_t serving_now(void)
{
    return __atomic_load_n(serving, __ATOMIC_RELAXED);
}

static struct log *log_of(uint32_t sequence)
{
    struct log *log = (struct log *)(logs + sequence % header->logs * log_size);
    if (sequence != 0 && log->sequence != sequence) {
        log->count = log->interruptions = 0;
        log->sequence = sequence;
    }
    return log;
}

/* Add a block to one of a request's lists, unless it is full; `last` tells whose list has it. */
static void note(uint32_t list[], uint32_t *count, uint32_t most, uint32_t last[],
                 uint32_t number, uint32_t sequence)
{
    if (last[number] == sequence)
        return;
    last[number] = sequence;
    if (*count < most)
        list[(*count)++] = offsets[number];
}

#if PLUGIN_API < 2
void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb *, int, void *, uint64_t);

static bool make_counters(void)
{
    counters = calloc(MOST_BLOCKS, sizeof *counters);
    return counters != NULL;
}

static void count(struct qemu_plugin_tb *tb, uint32_t number)
{
    qemu_plugin_register_vcpu_tb_exec_inline(tb, INLINE_ADD_U64, &counters[number], 1);
}
#else
struct qemu_plugin_scoreboard;
typedef struct {
    struct qemu_plugin_scoreboard *score;
    size_t offset;
} plugin_u64;
struct qemu_plugin_scoreboard *qemu_plugin_scoreboard_new(size_t element_size);
void *qemu_plugin_scoreboard_find(struct qemu_plugin_scoreboard *, unsigned int cpu);
void qemu_plugin_register_vcpu_tb_exec_inline_per_vcpu(struct qemu_plugin_tb *, int, plugin_u64,
                                                       uint64_t);

static struct qemu_plugin_scoreboard *board;  /* of the one CPU: all counters */
static struct qemu_plugin_scoreboard *latest; /* the value that was left last, or 0 */

static bool make_counters(void)
{
    board = qemu_plugin_scoreboard_new(MOST_BLOCKS * sizeof *counters);
    latest = qemu_plugin_scoreboard_new(sizeof(uint64_t));
    return board && latest;
}

static void count(struct qemu_plugin_tb *tb, uint32_t number)
{
    const plugin_u64 counter = {board, number * sizeof *counters};
    counters = qemu_plugin_scoreboard_find(board, 0);
    qemu_plugin_register_vcpu_tb_exec_inline_per_vcpu(tb, INLINE_ADD_U64, counter, 1);
}
#endif

#if PLUGIN_API < 7
static void leave(struct qemu_plugin_tb *tb, uint32_t value)
{
    (void)tb;
    (void)value;
}

static void look_at_vector(struct qemu_plugin_tb *tb, uint64_t vector)
{
    (void)tb;
    (void)vector;
}
#else
/* Let a block leave its number + 1, or 0, as what was executed last. */
static void leave(struct qemu_plugin_tb *tb, uint32_t value)
{
    const plugin_u64 there = {latest, 0};
    qemu_plugin_register_vcpu_tb_exec_inline_per_vcpu(tb, INLINE_STORE_U64, there, value);
}

static void interrupted(unsigned int cpu, void *data)
{
    const uint64_t last = *(uint64_t *)qemu_plugin_scoreboard_find(latest, cpu);
    const uint32_t sequence = serving_now();
    (void)data;
    if (last == 0 || sequence == 0)
        return;
    struct log *log = log_of(sequence);
    note(log->interrupted, &log->interruptions, MOST_INTERRUPTED, struck,
         (uint32_t)last - 1, sequence);
}

static void look_at_vector(struct qemu_plugin_tb *tb, uint64_t vector)
{
    if (vector == FROM_KERNEL_IRQ)
        qemu_plugin_register_vcpu_tb_exec_cb(tb, interrupted, CB_NO_REGS, NULL);
    else if (vector == FROM_USER_SYNC)
        leave(tb, 0);
}
#endif

/* The guest begins or has ended a request. */
static void marked(unsigned int cpu, void *data)
{
    const uint32_t sequence = serving_now();
    struct log *log = log_of(sequence);
    (void)cpu;
    (void)data;
    for (uint32_t number = 0; number < blocks; number++) {
        if (counters[number] == 0)
            continue;
        counters[number] = 0;
        if (sequence != 0)
            note(log->blocks, &log->count, header->capacity, noted, number, sequence);
    }
}

static bool is_mark(const uint8_t *host)
{
    static const uint8_t mark[] = CHANNEL_MARK_BYTES;
    return host && memcmp(host, mark, sizeof mark) == 0;
}

static bool text_offset(struct qemu_plugin_tb *tb, const uint8_t *host, uint64_t *offset)
{
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

static void translated(struct qemu_plugin_tb *tb)
{
    const uint8_t *host = qemu_plugin_insn_haddr(qemu_plugin_tb_get_insn(tb, 0));
    uint64_t offset;
    if (text_offset(tb, host, &offset)) {
        look_at_vector(tb, offset - header->vectors);
        if (!chosen(offset))
            return;
        uint32_t *number = &numbers[offset / 4];
        if (*number == 0) {
            if (blocks == MOST_BLOCKS)
                return;
            offsets[blocks] = (uint32_t)offset;
            *number = ++blocks;
        }
        count(tb, *number - 1);
        leave(tb, *number);
    } else if (is_mark(host)) {
        qemu_plugin_register_vcpu_tb_exec_cb(tb, marked, CB_NO_REGS, NULL);
    }
}

#if PLUGIN_API < 7
static void at_translation(plugin_id id, struct qemu_plugin_tb *tb)
{
    (void)id;
    translated(tb);
}

static void look_at_translations(plugin_id id)
{
    qemu_plugin_register_vcpu_tb_trans_cb(id, at_translation);
}
#else
static void at_translation(struct qemu_plugin_tb *tb, void *data)
{
    (void)data;
    translated(tb);
}

static void look_at_translations(plugin_id id)
{
    qemu_plugin_register_vcpu_tb_trans_cb(id, at_translation, NULL);
}
#endif

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
    numbers = calloc(header->text_size / 4 + 1, sizeof *numbers);
    if (!numbers || !make_counters())
        return 1;
    look_at_translations(id);
    return 0;
}
