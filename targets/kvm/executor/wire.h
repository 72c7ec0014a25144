/* The flat form of requests and responses. The contract is corpus/wire.py. */
#ifndef VF_WIRE_H
#define VF_WIRE_H

#include <stdint.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the wire form is little-endian and read in place"
#endif

#define WIRE_REQUEST_MAGIC 0x31434656u
#define WIRE_RESPONSE_MAGIC 0x31544656u

#define RAM_BASE 0x40000000ull
#define RAM_SIZE 0x10000u
#define VECTOR_BASE RAM_BASE
#define CODE_BASE (RAM_BASE + 0x1000)
#define CODE_SIZE 0x3000u
#define ASIDE_CODE_BASE (RAM_BASE + 0x5000)
#define CODE_ALIGNMENT 64u      /* of each program in a protected VM */
#define VM_PROTECTED 0x80000000u /* of a VM's type */
#define GIC_DIST 0x08000000u     /* below RAM, as on QEMU's virt */
#define GIC_REDIST 0x080a0000u
#define RUN_LIMIT_MS 500
#define LOOP_LIMIT_MS 2000

#define SLOTS 256
#define OTHER_SLOT 3 /* of the vcpu that is another VM's */
#define BUFFER_SIZE 0x10000u /* mapped bytes of a user buffer without an edge */
#define FILL 0x5a            /* what GET finds its buffer full of */
#define LARGEST_REG 256u     /* bytes */
#define ROOM_EXACT 0xffffu   /* of REG_LIST: as many ids as there are */
#define VL_LIMIT 0xffffu     /* of a VL asked for; above it are prctl's flags */
#define SVCR_SHIFT 16        /* of HOST_RUN's `b`, above the VL */
#define SVCR_SM 1u           /* streaming mode */
#define SVCR_ZA 2u
#define DELAY_LIMIT 0xffffffu /* of the `b` of DISTURB and THREADS, ns */
#define BLOCK_LIMIT 0xffffu  /* ops in a block */

#define FLAG_REUSE_VM 1u

#define RUN_IMMEDIATE 1u    /* of RUN's `a` */
#define RUN_NOT_RUNNABLE 1u /* of wire_run.flags */
#define RUN_TIMED_OUT 2u

#define HOST_FPCR 0x00c00000u
#define HOST_FPSR 0x00000015u

/* Digests are FNV-1a of 64 bits. */
#define FNV_BASIS 0xcbf29ce484222325ull
#define FNV_PRIME 0x100000001b3ull

enum wire_kind {
    KIND_PROBE,
    KIND_CREATE_VCPU,
    KIND_PREF_TARGET,
    KIND_INIT,
    KIND_FINALIZE,
    KIND_SET_REG,
    KIND_GET_REG,
    KIND_REG_LIST,
    KIND_RUN,
    KIND_READ_ALL,
    KIND_SET_MP,
    KIND_GET_MP,
    KIND_READ_MEM,
    KIND_WRITE_MEM,
    KIND_HOST_RUN,
    KIND_MIGRATE,
    KIND_DISTURB,
    KIND_THREADS,
    KIND_SET_EVENTS,
    KIND_GET_EVENTS,
    KIND_DEVICE_ATTR,
    KIND_SMCCC_FILTER,
    KIND_ENABLE_CAP,
    KIND_CREATE_VM,
    KIND_CREATE_GIC,
    KIND_COUNT
};

/* DISTURB's `a`. */
enum wire_stranger {
    STRANGER_SOFTIRQ,
    STRANGER_THREAD,
    STRANGER_SIGNAL,
    STRANGER_MOVE,
    STRANGER_STEP,
    STRANGER_COUNT
};

enum wire_status {
    STATUS_OK = 0,
    STATUS_MALFORMED = 1,
    STATUS_FULL = 2,
    STATUS_NO_VM = 3
};

struct wire_request {
    uint32_t magic, total, count, flags;
};

struct wire_op {
    uint16_t kind;
    uint8_t vcpu, zero;
    uint32_t size;
    uint64_t a, b;
};

struct wire_response {
    uint32_t magic, total, count, status;
};

struct wire_observation {
    uint16_t kind;
    uint8_t vcpu, zero;
    uint32_t err;
    uint64_t aux;
    uint32_t size, pad;
};

/* Data of RUN. */
struct wire_run {
    uint32_t reason, is_write;
    uint64_t address, value;
    uint32_t length, flags;
};

/* Payload of MIGRATE before its groups of register ids. */
struct wire_init {
    uint32_t features[7];
    uint32_t target;
};

/* DEVICE_ATTR's `a`. */
enum wire_ask { ASK_HAS, ASK_GET, ASK_SET, ASK_COUNT };

/* Payload of SMCCC_FILTER. */
struct wire_filter {
    uint32_t base, count, action;
};

/* Payload of SET_EVENTS and data of GET_EVENTS: struct kvm_vcpu_events. */
struct wire_events {
    uint8_t serror_pending, serror_has_esr, ext_dabt_pending, pad_first;
    uint32_t pad_rest;
    uint64_t serror_esr;
    uint32_t reserved[12];
};

/* A register that did not arrive unchanged; both values follow, each padded to 8. */
struct wire_record {
    uint64_t id;
    uint32_t read, written, read_back;
    uint32_t size;
};

/* At which a migration can fail. */
enum wire_stage { STAGE_LIST = 1, STAGE_CREATE, STAGE_INIT, STAGE_VLS, STAGE_FINALIZE };

/* What a host thread says before its two states: all that HOST_RUN does after its run. */
struct wire_host_thread {
    uint32_t prctl_err, vl_before, vl_after;
    uint32_t fpsr, fpcr, zero;
};

/* Of HOST_RUN with SVCR, behind the two states; two wire_sme_event follow. */
struct wire_sme {
    uint32_t prctl_err, svl;
};

/* SVCR and SVL after an event, and digests of ZA and of streaming mode's Z and P. */
struct wire_sme_event {
    uint32_t svcr, svl;
    uint64_t za, vectors;
};

/* Payload of DISTURB. */
struct wire_block {
    uint32_t span, vl;
};

/* Data of DISTURB; of a thread, a wire_host_thread and its two states follow. */
struct wire_disturb {
    uint32_t fired, missed;
};

/* Payload of THREADS: how many ops, and how many of them are the first list. */
struct wire_lists {
    uint32_t span, first;
};

/* Data of THREADS; for each op in the lists a wire_interval follows. */
struct wire_threads {
    uint32_t cpus, entries;
};

/* ns since both lists could begin. */
struct wire_interval {
    uint64_t began, ended;
};

_Static_assert(sizeof(struct wire_request) == 16, "request header");
_Static_assert(sizeof(struct wire_op) == 24, "op header");
_Static_assert(sizeof(struct wire_response) == 16, "response header");
_Static_assert(sizeof(struct wire_observation) == 24, "observation header");
_Static_assert(sizeof(struct wire_run) == 32, "run result");
_Static_assert(sizeof(struct wire_host_thread) == 24, "host thread's state");
_Static_assert(sizeof(struct wire_sme) == 8, "host thread with SME");
_Static_assert(sizeof(struct wire_sme_event) == 24, "SME after an event");
_Static_assert(sizeof(struct wire_block) == 8, "block of ops");
_Static_assert(sizeof(struct wire_disturb) == 8, "disturbance");
_Static_assert(sizeof(struct wire_lists) == 8, "two lists of ops");
_Static_assert(sizeof(struct wire_threads) == 8, "two lists done");
_Static_assert(sizeof(struct wire_interval) == 16, "an op's time");
_Static_assert(sizeof(struct wire_init) == 32, "init parameters");
_Static_assert(sizeof(struct wire_record) == 24, "migration record");

static inline uint64_t wire_padded(uint64_t n)
{
    return (n + 7) & ~7ull;
}

#endif
