#include "reuse.h"

#include "code.h"

#include <linux/kvm.h>
#include <string.h>

#define COPROC(id) ((id) >> 16 & 0xfff)
#define CORE 0x10
#define SYSREG 0x13
#define SVE 0x15
#define FEATURE_HAS_EL2 7

/* A write that stays within the vcpu. ID registers, firmware registers and counters
 * belong to the VM; ID registers can moreover not be changed once a vcpu has run. */
static bool is_vcpu_local(uint64_t id)
{
    unsigned crn = id >> 7 & 15, op1 = id >> 11 & 7;
    switch (COPROC(id)) {
    case CORE:
    case SVE:
        return true;
    case SYSREG:
        return crn != 0 && crn != 14 && op1 != 4;
    default:
        return false;
    }
}

/* Whether a guest could call the hypervisor: PSCI knows vcpus by ids, which slots of a shared
 * VM lack, and stops the vcpus of later cases, too. */
static bool calls(const struct op *op)
{
    uint32_t before = 0;
    for (uint32_t i = 0; i + 4 <= op->head.size; i += 4) {
        uint32_t word;
        memcpy(&word, op->payload + i, sizeof word);
        bool harmless = code_asks_version(before, word);
        before = word;
        word &= ~CODE_IMMEDIATE;
        if (!harmless && (word == CODE_HVC || word == CODE_SMC))
            return true;
    }
    return false;
}

static bool note_features(struct features *seen, const struct op *op)
{
    uint32_t words[7];
    memcpy(words, op->payload, sizeof words);
    words[0] &= ~(1u << KVM_ARM_VCPU_POWER_OFF); /* may differ from call to call */
    if (words[0] >> FEATURE_HAS_EL2 & 1)
        return false;
    if (seen->known)
        return memcmp(seen->words, words, sizeof words) == 0;
    seen->known = true;
    memcpy(seen->words, words, sizeof words);
    return true;
}

/* Whether an op may leave behind what INIT does not take back. */
static bool changes_vm(unsigned kind)
{
    return kind == KIND_DEVICE_ATTR || kind == KIND_SMCCC_FILTER || kind == KIND_ENABLE_CAP ||
           kind == KIND_CREATE_VM || kind == KIND_CREATE_GIC;
}

struct reuse reuse_of(const struct wire_request *head, const uint8_t *at, const uint8_t *end)
{
    struct reuse reuse = {.allowed = head->flags & FLAG_REUSE_VM};
    struct op op;
    while (reuse.allowed && next_op(&at, end, &op)) {
        if (op.head.kind == KIND_PROBE || op.head.vcpu == OTHER_SLOT || changes_vm(op.head.kind))
            reuse.allowed = false;
        else if (op.head.kind == KIND_SET_REG)
            reuse.allowed = is_vcpu_local(op.head.a);
        else if (op.head.kind == KIND_INIT || op.head.kind == KIND_MIGRATE)
            reuse.allowed = note_features(&reuse.features, &op);
        else if (op.head.kind == KIND_RUN || op.head.kind == KIND_HOST_RUN)
            reuse.allowed = !calls(&op);
        if (op.head.kind == KIND_CREATE_VCPU || op.head.kind == KIND_MIGRATE)
            reuse.slots++; /* an upper bound: one may fail with EEXIST */
    }
    if (reuse.slots > MOST_SHARED_SLOTS)
        reuse.allowed = false;
    return reuse;
}
