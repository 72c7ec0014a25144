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
#define VECTOR_OFFSET 0u
#define CODE_OFFSET 0x1000u
#define CODE_SIZE 0x3000u
#define RUN_LIMIT_MS 500
#define SLOTS 256           /* of vcpus: a slot is a byte */
#define BUFFER_SIZE 0x10000u /* mapped bytes of a user buffer without an edge */

enum { FLAG_REUSE_VM = 1 };

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
    KIND_COUNT
};

enum wire_status {
    STATUS_OK = 0,
    STATUS_MALFORMED = 1,
    STATUS_FULL = 2,
    /* Beyond the contract's three: /dev/kvm or a VM could not be had. */
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

/* A register that did not arrive unchanged; both values follow, each padded to 8. */
struct wire_record {
    uint64_t id;
    uint32_t read, written, read_back;
    uint32_t size;
};

enum migrate_stage { STAGE_LIST = 1, STAGE_CREATE, STAGE_INIT, STAGE_VLS, STAGE_FINALIZE };

/* Data of HOST_RUN before its two states. */
struct wire_host_run {
    struct wire_run run;
    uint32_t prctl_err, vl_before, vl_after;
    uint32_t fpsr, fpcr, zero;
};

#define HOST_FPCR 0x00c00000u
#define HOST_FPSR 0x00000015u
#define VL_LIMIT 0xffffu /* of HOST_RUN's `b`; above it are prctl's flags */

enum { RUN_IMMEDIATE = 1 };                       /* bits of a RUN op's `a` */
enum { RUN_NOT_RUNNABLE = 1, RUN_TIMED_OUT = 2 }; /* bits of wire_run.flags */

_Static_assert(sizeof(struct wire_request) == 16, "request header");
_Static_assert(sizeof(struct wire_op) == 24, "op header");
_Static_assert(sizeof(struct wire_response) == 16, "response header");
_Static_assert(sizeof(struct wire_observation) == 24, "observation header");
_Static_assert(sizeof(struct wire_run) == 32, "run result");
_Static_assert(sizeof(struct wire_host_run) == 56, "host run result");
_Static_assert(sizeof(struct wire_init) == 32, "init parameters");
_Static_assert(sizeof(struct wire_record) == 24, "migration record");

static inline uint64_t wire_padded(uint64_t n)
{
    return (n + 7) & ~7ull;
}

#endif
