#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "notes.h"

enum { /* numbers of ioctls, as in the kernel's uapi */
    KVM_TYPE = 0xae,
    CREATE_VM = 0x01,
    CREATE_VCPU = 0x41,
    CREATE_IRQCHIP = 0x60,
    RUN = 0x80,
    GET_MP = 0x98,
    SET_MP = 0x99,
    SET_GUEST_DEBUG = 0x9b,
    GET_EVENTS = 0x9f,
    SET_EVENTS = 0xa0,
    ENABLE_CAP = 0xa3,
    GET_ONE_REG = 0xab,
    SET_ONE_REG = 0xac,
    INIT = 0xae,
    PREFERRED_TARGET = 0xaf,
    REG_LIST = 0xb0,
    FINALIZE = 0xc2,
    CREATE_DEVICE = 0xe0,
    SET_ATTR = 0xe1,
    GET_ATTR = 0xe2,
    HAS_ATTR = 0xe3,
};

static const uint8_t told_alone[] = {
    CREATE_VM,   CREATE_VCPU,   GET_MP,         SET_MP,          GET_EVENTS,       SET_EVENTS,
    GET_ONE_REG, SET_ONE_REG,   INIT,           REG_LIST,        PREFERRED_TARGET, FINALIZE,
    ENABLE_CAP,  CREATE_DEVICE, CREATE_IRQCHIP, SET_GUEST_DEBUG,
};
static const uint8_t told_alone_of_vms[] = {SET_ATTR, GET_ATTR, HAS_ATTR};

enum {
    RUN_BYTES = 64,   /* of struct kvm_run: the exit reason and what there is about it */
    EXIT_REASON = 8,  /* where in it */
    MOST_IDS = 8192,  /* of a list */
    LARGEST = 2048,   /* bytes of a register that are logged */
    MOST_GIVEN = 256, /* bytes of other arguments */
    ATTR_BYTES = 24,  /* of struct kvm_device_attr */
    ATTR_ADDR = 16,   /* where in it the value's address is */
    MOST_ATTR = 24,   /* bytes of an attribute's value */
    MOST_ORIGIN = 256,
    KINDS = 64,       /* of calls that are counted, between two that are told one by one */
};

/* Calls that are alike, of those that no case has. */
struct counted {
    pid_t pid;
    int fd;
    uint64_t request;
    int64_t result;
    uint32_t reason;
    unsigned long times;
    char *line; /* the first of them, without its end */
};

struct page {
    pid_t pid;
    int fd;
    uint64_t address;
};

static FILE *log_file;
static struct counted counted[KINDS];
static size_t counted_kinds;
static struct page *pages;
static size_t page_count;

bool notes_open(const char *path)
{
    log_file = fopen(path, "we");
    return log_file != NULL;
}

static void put_text(FILE *file, const char *text)
{
    fputc('"', file);
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\')
            fprintf(file, "\\%c", c);
        else if (c < 0x20 || c > 0x7e) /* which bytes of UTF-8 there are does not matter */
            fprintf(file, "\\u%04x", c);
        else
            fputc(c, file);
    }
    fputc('"', file);
}

static void put_bytes(FILE *file, const char *name, const struct buffer *buffer)
{
    fprintf(file, ",\"%s\":\"", name);
    for (size_t i = 0; i < buffer->length; i++)
        fprintf(file, "%02x", buffer->bytes[i]);
    fputc('"', file);
}

void note_command(char **argv)
{
    fputs("{\"kind\":\"command\",\"argv\":[", log_file);
    for (size_t i = 0; argv[i]; i++) {
        if (i)
            fputc(',', log_file);
        put_text(log_file, argv[i]);
    }
    fputs("]}\n", log_file);
    fflush(log_file);
}

static void flush_counted(void)
{
    for (size_t i = 0; i < counted_kinds; i++) {
        fprintf(log_file, "%s,\"times\":%lu}\n", counted[i].line, counted[i].times);
        free(counted[i].line);
    }
    counted_kinds = 0;
}

bool notes_close(int code)
{
    flush_counted();
    fprintf(log_file, "{\"kind\":\"end\",\"code\":%d}\n", code);
    return fclose(log_file) == 0;
}

bool is_kvm(uint64_t request)
{
    return _IOC_TYPE(request) == KVM_TYPE;
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* What the struct that an argument points to has room for. */
static size_t given(uint64_t request)
{
    return smaller(_IOC_SIZE(request), MOST_GIVEN);
}

/* Of struct kvm_one_reg: where the value is, and the bytes that the id asks for. */
static uint64_t value_at(const struct buffer *reg, size_t *size)
{
    uint64_t words[2] = {0};
    memcpy(words, reg->bytes, smaller(reg->length, sizeof words));
    *size = smaller((size_t)1 << (words[0] >> 52 & 15), LARGEST);
    return words[1];
}

void note_entry(pid_t tid, uint64_t request, uint64_t arg, struct buffer *in)
{
    size_t size;
    if (_IOC_DIR(request) & _IOC_WRITE)
        buffer_read(in, tid, arg, given(request));
    if (_IOC_NR(request) == SET_ONE_REG && in->length == given(request)) {
        uint64_t at = value_at(in, &size);
        buffer_read(in, tid, at, size);
    }
    if (_IOC_NR(request) == SET_ATTR && in->length == ATTR_BYTES) {
        uint64_t at;
        memcpy(&at, in->bytes + ATTR_ADDR, sizeof at);
        buffer_read(in, tid, at, MOST_ATTR);
    }
}

static void keep_page(pid_t pid, int fd, uint64_t address)
{
    for (size_t i = 0; i < page_count; i++)
        if (pages[i].pid == pid && pages[i].fd == fd) {
            pages[i].address = address;
            return;
        }
    pages = realloc(pages, (page_count + 1) * sizeof *pages);
    if (!pages) {
        perror("recorder");
        exit(1);
    }
    pages[page_count++] = (struct page){pid, fd, address};
}

static uint64_t page_of(pid_t pid, int fd)
{
    for (size_t i = 0; i < page_count; i++)
        if (pages[i].pid == pid && pages[i].fd == fd)
            return pages[i].address;
    return 0;
}

static void read_back(pid_t tid, pid_t pid, int fd, uint64_t request, uint64_t arg, int64_t result,
                      const struct buffer *in, struct buffer *out)
{
    uint64_t count = 0;
    size_t size;
    switch (_IOC_NR(request)) {
    case RUN:
        if (page_of(pid, fd))
            buffer_read(out, tid, page_of(pid, fd), RUN_BYTES);
        return;
    case GET_ONE_REG:
        if (in->length == given(request) && result == 0) {
            uint64_t at = value_at(in, &size);
            buffer_read(out, tid, at, size);
        }
        return;
    case REG_LIST:
        if (buffer_read(out, tid, arg, sizeof count) == sizeof count && result == 0) {
            memcpy(&count, out->bytes, sizeof count);
            count = count < MOST_IDS ? count : MOST_IDS;
            buffer_read(out, tid, arg + sizeof count, count * sizeof count);
        }
        return;
    default:
        if (_IOC_DIR(request) & _IOC_READ && result >= 0)
            buffer_read(out, tid, arg, given(request));
    }
}

/* What a descriptor is of, such as anon_inode:kvm-vcpu:0. */
static void find_origin(char origin[MOST_ORIGIN], pid_t pid, int fd)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/fd/%d", pid, fd);
    ssize_t n = readlink(path, origin, MOST_ORIGIN - 1);
    origin[n > 0 ? n : 0] = 0;
}

static const char of_vm[] = "anon_inode:kvm-vm", of_vcpu[] = "anon_inode:kvm-vcpu";

static bool begins(const char *origin, const char *with)
{
    return strncmp(origin, with, strlen(with)) == 0;
}

static char *line_of(pid_t pid, int fd, uint64_t request, uint64_t arg, int64_t result,
                     const struct buffer *in, const struct buffer *out)
{
    char *line = NULL, origin[MOST_ORIGIN];
    size_t size;
    FILE *file = open_memstream(&line, &size);
    find_origin(origin, pid, fd);
    fprintf(file, "{\"kind\":\"ioctl\",\"pid\":%d,\"fd\":%d,\"of\":", pid, fd);
    put_text(file, origin);
    fprintf(file, ",\"request\":%llu,\"arg\":%llu,\"result\":%lld",
            (unsigned long long)(uint32_t)request, (unsigned long long)arg, (long long)result);
    put_bytes(file, "given", in);
    put_bytes(file, "got", out);
    fclose(file);
    return line;
}

/* Devices have attributes by the hundred, of which no case has one. */
static bool alone(pid_t pid, int fd, uint64_t request)
{
    char origin[MOST_ORIGIN];
    if (!memchr(told_alone_of_vms, _IOC_NR(request), sizeof told_alone_of_vms))
        return memchr(told_alone, _IOC_NR(request), sizeof told_alone) != NULL;
    find_origin(origin, pid, fd);
    return begins(origin, of_vm) || begins(origin, of_vcpu);
}

static uint32_t exit_reason(uint64_t request, const struct buffer *out)
{
    uint32_t reason = 0;
    if (_IOC_NR(request) == RUN && out->length == RUN_BYTES)
        memcpy(&reason, out->bytes + EXIT_REASON, sizeof reason);
    return reason;
}

/* Count a call, if there was one like it since the last that was told alone. */
static bool counted_already(const struct counted *one)
{
    for (size_t i = 0; i < counted_kinds; i++) {
        struct counted *other = &counted[i];
        if (other->pid == one->pid && other->fd == one->fd && other->request == one->request &&
            other->result == one->result && other->reason == one->reason) {
            other->times++;
            return true;
        }
    }
    return false;
}

void note_ioctl(pid_t tid, pid_t pid, int fd, uint64_t request, uint64_t arg, int64_t result,
                const struct buffer *in)
{
    static struct buffer out;
    buffer_clear(&out);
    read_back(tid, pid, fd, request, arg, result, in, &out);
    if (alone(pid, fd, request)) {
        char *line = line_of(pid, fd, request, arg, result, in, &out);
        flush_counted();
        fprintf(log_file, "%s}\n", line);
        fflush(log_file); /* whatever becomes of us */
        free(line);
        return;
    }
    struct counted one = {pid, fd, request, result, exit_reason(request, &out), 1, NULL};
    if (counted_already(&one))
        return;
    if (counted_kinds == KINDS)
        flush_counted();
    one.line = line_of(pid, fd, request, arg, result, in, &out);
    counted[counted_kinds++] = one;
}

void note_unfinished(pid_t pid, int fd, uint64_t request)
{
    flush_counted();
    fprintf(log_file, "{\"kind\":\"unfinished\",\"pid\":%d,\"fd\":%d,\"request\":%llu}\n", pid, fd,
            (unsigned long long)(uint32_t)request);
}

void note_dup(pid_t pid, int fd, int other)
{
    char origin[MOST_ORIGIN];
    find_origin(origin, pid, other);
    if (fd == other || !(begins(origin, of_vm) || begins(origin, of_vcpu)))
        return;
    flush_counted();
    fprintf(log_file, "{\"kind\":\"dup\",\"pid\":%d,\"fd\":%d,\"other\":%d}\n", pid, fd, other);
    if (page_of(pid, fd))
        keep_page(pid, other, page_of(pid, fd));
}

void note_mmap(pid_t pid, int fd, uint64_t address)
{
    char origin[MOST_ORIGIN];
    find_origin(origin, pid, fd);
    if (!begins(origin, of_vcpu))
        return;
    keep_page(pid, fd, address);
}
