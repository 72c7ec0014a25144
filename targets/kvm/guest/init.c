/* The lab guest's only process: serves requests from the shared page until the end. */
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "../executor/executor.h"
#include "channel.h"

#define IVSHMEM_VENDOR "0x1af4"
#define IVSHMEM_DEVICE "0x1110"

/* A host that keeps requests coming is found waiting less often than it costs to sleep. */
#define LINGER_NS 300000
#define LOOK_MS 50
#define KEEP_PHASE "vcpufuzz.keep_phase" /* where the clock goes by instructions */
/* What a kernel does late in its boot is over by then. Where the clock goes by instructions, a
 * machine that is idle has this over at once. */
#define QUIET_S 10
#define NAP_MS 1000 /* bounds the harm of a doorbell that got lost */

static struct channel_header *channel;
static struct channel_slot *slots;

static _Noreturn void fail(const char *what)
{
    fprintf(stderr, "vcpufuzz: %s: %s\n", what, strerror(errno));
    exit(1); /* the kernel panics, the host sees it */
}

static void write_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, text, strlen(text)) < 0)
        fail(path);
    close(fd);
}

static bool file_begins(const char *directory, const char *name, const char *text)
{
    char path[512], content[16] = "";
    snprintf(path, sizeof path, "%s/%s", directory, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t n = read(fd, content, sizeof content - 1);
    close(fd);
    return n > 0 && strncmp(content, text, strlen(text)) == 0;
}

static void mount_all(void)
{
    static const struct { const char *where, *type; } mounts[] = {
        {"/dev", "devtmpfs"}, {"/proc", "proc"}, {"/sys", "sysfs"}};
    for (size_t i = 0; i < sizeof mounts / sizeof mounts[0]; i++) {
        mkdir(mounts[i].where, 0755);
        if (mount(mounts[i].type, mounts[i].where, mounts[i].type, 0, "") && errno != EBUSY)
            fail(mounts[i].where);
    }
}

static int open_console(void)
{
    int fd = open("/dev/console", O_RDWR | O_NOCTTY);
    struct termios raw;
    if (fd < 0 || tcgetattr(fd, &raw) != 0)
        fail("/dev/console");
    cfmakeraw(&raw);
    tcsetattr(fd, TCSANOW, &raw);
    dup2(fd, STDOUT_FILENO);
    dup2(fd, STDERR_FILENO);
    return fd;
}

static void map_channel(void)
{
    glob_t found;
    char path[512];
    struct stat status;
    if (glob("/sys/bus/pci/devices/*", 0, NULL, &found) != 0)
        fail("no PCI devices");
    for (size_t i = 0; i < found.gl_pathc; i++) {
        const char *device = found.gl_pathv[i];
        if (!file_begins(device, "vendor", IVSHMEM_VENDOR) ||
            !file_begins(device, "device", IVSHMEM_DEVICE))
            continue;
        snprintf(path, sizeof path, "%s/enable", device);
        write_file(path, "1");
        /* Write-combined is normal memory; plain resource2 would fault unaligned access. */
        snprintf(path, sizeof path, "%s/resource2_wc", device);
        int fd = open(path, O_RDWR | O_CLOEXEC);
        if (fd < 0 || fstat(fd, &status) != 0)
            fail(path);
        channel = mmap(NULL, (size_t)status.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        close(fd);
        if (channel == MAP_FAILED)
            fail(path);
        slots = (struct channel_slot *)(channel + 1);
        globfree(&found);
        return;
    }
    errno = ENODEV;
    fail("shared memory device");
}

static uint32_t load(const uint32_t *word)
{
    return __atomic_load_n(word, __ATOMIC_SEQ_CST);
}

static void store(uint32_t *word, uint32_t value)
{
    __atomic_store_n(word, value, __ATOMIC_SEQ_CST);
}

static struct channel_slot *oldest_seen(void)
{
    struct channel_slot *oldest = NULL;
    for (uint32_t i = 0; i < channel->slots; i++)
        if (load(&slots[i].state) == STATE_PENDING &&
            (!oldest || slots[i].sequence < oldest->sequence))
            oldest = &slots[i];
    return oldest;
}

/* The host posts in order, but may post two requests behind and before the eye of one look
 * at the slots. What was posted before the one that was found, a second look does see. */
static struct channel_slot *next_pending(void)
{
    return oldest_seen() ? oldest_seen() : NULL;
}

/* Request: u64 offset, then the path. Response: up to the area's size from there on.
 * The file stays open between pieces: seq_file would start over for each otherwise. */
static size_t read_file(const struct channel_slot *slot, const uint8_t *request, uint8_t *response,
                        uint32_t *error)
{
    static char path[256];
    static int fd = -1;
    uint64_t offset;
    size_t length = 0;
    *error = EINVAL;
    if (slot->request_len <= sizeof offset || slot->request_len - sizeof offset >= sizeof path)
        return 0;
    memcpy(&offset, request, sizeof offset);
    if (offset == 0) {
        memset(path, 0, sizeof path);
        memcpy(path, request + sizeof offset, slot->request_len - sizeof offset);
        if (fd >= 0)
            close(fd);
        fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    }
    *error = 0;
    while (length < channel->response_cap) {
        ssize_t n = read(fd, response + length, channel->response_cap - length);
        if (n < 0 && errno != EAGAIN)
            *error = (uint32_t)errno;
        if (n <= 0)
            break;
        length += (size_t)n;
    }
    return length;
}

/* Whether a word is on the kernel's command line. */
static bool told(const char *word)
{
    char line[4096] = "";
    int fd = open("/proc/cmdline", O_RDONLY | O_CLOEXEC);
    if (fd < 0 || read(fd, line, sizeof line - 1) < 0)
        fail("/proc/cmdline");
    close(fd);
    return strstr(line, word);
}

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* Request: u32 rounds, u32 0, then per case u32 size, u32 0, its request padded to 8.
 * Response: u64 nanoseconds that executing all of them `rounds` times over took. */
static size_t repeat(const struct channel_slot *slot, const uint8_t *request, uint8_t *response,
                     uint32_t *error)
{
    const uint8_t *end = request + slot->request_len;
    uint32_t head[2], answer[4];
    *error = 0;
    if (slot->request_len < sizeof head) {
        *error = EINVAL;
        return 0;
    }
    memcpy(head, request, sizeof head);
    uint64_t began = now_ns();
    for (uint32_t round = 0; round < head[0]; round++)
        for (const uint8_t *at = request + sizeof head; at < end;) {
            uint32_t item[2];
            memcpy(item, at, sizeof item);
            at += sizeof item;
            size_t used = vf_execute(at, item[0], response, channel->response_cap);
            memcpy(answer, response, sizeof answer);
            if (used < sizeof answer || answer[3] != 0) /* the status of a response */
                *error = EPROTO;
            at += (item[0] + 7) & ~7u;
        }
    uint64_t took = now_ns() - began;
    memcpy(response, &took, sizeof took);
    return sizeof took;
}

static void become(const char *path, int output)
{
    char *const argv[] = {(char *)path, NULL};
    dup2(output, STDOUT_FILENO);
    dup2(output, STDERR_FILENO);
    execv(path, argv);
    _exit(127);
}

/* Request: an executable. Response: u32 status as of wait(2), u32 0, and what it wrote. */
static size_t run_program(const struct channel_slot *slot, const uint8_t *request,
                          uint8_t *response, uint32_t *error)
{
    static const char path[] = "/program";
    uint32_t head[2] = {0};
    size_t length = sizeof head;
    int ends[2], status = 0;
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
    *error = 0;
    if (fd < 0 || write(fd, request, slot->request_len) != (ssize_t)slot->request_len)
        *error = (uint32_t)errno;
    close(fd);
    if (!*error && pipe2(ends, O_CLOEXEC) != 0)
        *error = (uint32_t)errno;
    if (*error)
        return 0;
    pid_t child = fork();
    if (child == 0)
        become(path, ends[1]);
    close(ends[1]);
    while (child > 0 && length < channel->response_cap) {
        ssize_t n = read(ends[0], response + length, channel->response_cap - length);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        length += (size_t)n;
    }
    close(ends[0]);
    if (child < 0 || waitpid(child, &status, 0) < 0)
        *error = (uint32_t)errno;
    head[0] = (uint32_t)status;
    memcpy(response, head, sizeof head);
    return length;
}

#define STRING_(text) #text
#define STRING(text) STRING_(text)

/* Whether the kernel logged anything since this was last asked. */
static bool something_logged(void)
{
    static int log = -2;
    char record[8192];
    bool found = false;
    if (log == -2) {
        log = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
        if (log >= 0)
            lseek(log, 0, SEEK_END);
        return true;
    }
    if (log < 0)
        return true; /* it cannot be told */
    for (;;) {
        ssize_t n = read(log, record, sizeof record);
        found = found || n > 0 || (n < 0 && errno != EAGAIN);
        if (n == 0 || (n < 0 && errno != EPIPE)) /* EPIPE: some were overwritten */
            return found;
    }
}

static void send_byte(int line, char byte)
{
    if (write(line, &byte, 1) != 1)
        fail("doorbell");
}

/* A function, so that it begins a translation block wherever it is called. */
__asm__(".pushsection .text\n"
        ".type mark, %function\n"
        "mark: hint #" STRING(CHANNEL_MARK) "\n"
        "ret\n"
        ".size mark, . - mark\n"
        ".popsection");
void mark(void);

static void serve(struct channel_slot *slot, int doorbell)
{
    const size_t stride = (size_t)channel->request_cap + channel->response_cap;
    uint8_t *request = (uint8_t *)channel + CHANNEL_AREAS + (size_t)(slot - slots) * stride;
    uint8_t *response = request + channel->request_cap;
    uint32_t error = 0;
    size_t length;

    slot->began = channel->progress + 1;
    store(&slot->state, STATE_RUNNING);
    mark();
    store(&channel->serving, (uint32_t)slot->sequence);
    if (slot->command == COMMAND_READ_FILE)
        length = read_file(slot, request, response, &error);
    else if (slot->command == COMMAND_REPEAT)
        length = repeat(slot, request, response, &error);
    else if (slot->command == COMMAND_PROGRAM)
        length = run_program(slot, request, response, &error);
    else
        length = vf_execute(request, slot->request_len, response, channel->response_cap);
    slot->response_len = (uint32_t)length;
    slot->error = error;
    mark();
    store(&channel->serving, 0);
    store(&channel->progress, channel->progress + 1);
    /* A byte on the line costs as much as many an ioctl: only where it says something. */
    slot->silent = !something_logged();
    store(&slot->state, STATE_DONE);
    if (!slot->silent)
        send_byte(doorbell, DOORBELL);
    else if (load(&channel->waiting))
        send_byte(doorbell, WAKE);
}

/* Coverage reads kallsyms; a kernel without sysctl has nothing to hide it with. */
static void show_addresses(void)
{
    int fd = open("/proc/sys/kernel/kptr_restrict", O_WRONLY | O_CLOEXEC);
    if (fd >= 0) {
        if (write(fd, "0", 1) < 0)
            fail("kptr_restrict");
        close(fd);
    }
}

static struct channel_slot *linger(void)
{
    uint64_t start = now_ns();
    do {
        struct channel_slot *slot = next_pending();
        if (slot)
            return slot;
    } while (now_ns() - start < LINGER_NS);
    return NULL;
}

static void nap(int doorbell)
{
    char bytes[64];
    store(&channel->sleeping, 1);
    if (!next_pending()) {
        struct pollfd bell = {.fd = doorbell, .events = POLLIN};
        if (poll(&bell, 1, NAP_MS) > 0 && read(doorbell, bytes, sizeof bytes) < 0)
            fail("doorbell");
    }
    store(&channel->sleeping, 0);
}

int main(void)
{
    mount_all();
    int doorbell = open_console();
    show_addresses();
    map_channel();
    if (channel->magic != CHANNEL_MAGIC) {
        errno = EPROTO;
        fail("shared memory");
    }
    /* Else a kernel thread that we wake while we are an SRCU reader, as KVM does for each new
     * memory region, runs at once and spins until its time is up: it waits for us. */
    (void)!nice(-20);
    vf_count_progress(&channel->progress);
    vf_look_after(LOOK_MS);
    if (told(KEEP_PHASE)) {
        sleep(QUIET_S);
        vf_keep_phase();
    }
    store(&channel->ready, 1);
    send_byte(doorbell, DOORBELL);
    for (;;) {
        struct channel_slot *slot = linger();
        if (slot)
            serve(slot, doorbell);
        else
            nap(doorbell);
    }
}
