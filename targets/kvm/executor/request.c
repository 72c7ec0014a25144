#include "request.h"

#include <stddef.h>
#include <string.h>

bool next_op(const uint8_t **at, const uint8_t *end, struct op *op)
{
    if ((size_t)(end - *at) < sizeof op->head)
        return false;
    memcpy(&op->head, *at, sizeof op->head);
    *at += sizeof op->head;
    op->payload = *at;
    if (wire_padded(op->head.size) > (size_t)(end - *at))
        return false;
    *at += wire_padded(op->head.size);
    return true;
}

static bool groups_well_formed(const uint8_t *at, uint64_t size)
{
    while (size) {
        uint32_t count;
        if (size < 8)
            return false;
        memcpy(&count, at, sizeof count);
        if (count > (size - 8) / 8)
            return false;
        at += 8 + 8ull * count;
        size -= 8 + 8ull * count;
    }
    return true;
}

static bool block_well_formed(const uint8_t *payload)
{
    struct wire_block block;
    memcpy(&block, payload, sizeof block);
    return block.vl <= VL_LIMIT && block.span <= BLOCK_LIMIT;
}

static bool lists_well_formed(const uint8_t *payload)
{
    struct wire_lists lists;
    memcpy(&lists, payload, sizeof lists);
    return lists.first <= lists.span && lists.span <= BLOCK_LIMIT;
}

/* Two lists that are being read: how many ops are left in them, how many of those in the first,
 * and the vcpu of the run that the first began with, -1: it did not. */
struct reading {
    struct wire_lists left;
    bool leads; /* the next op is the first of a list */
    int runs;
};

/* Whether an op may be done beside others. */
static bool may_be_beside(struct reading *lists, const struct op *op)
{
    switch (op->head.kind) {
    case KIND_INIT:
    case KIND_FINALIZE:
    case KIND_SET_REG:
    case KIND_GET_REG:
    case KIND_REG_LIST:
    case KIND_GET_MP:
        return true;
    case KIND_RUN:
        if (!lists->leads || lists->runs == op->head.vcpu)
            return false;
        lists->runs = op->head.vcpu;
        return true;
    default:
        return false;
    }
}

/* An op of the lists. */
static bool read_beside(struct reading *lists, const struct op *op)
{
    if (!may_be_beside(lists, op))
        return false;
    lists->left.span--;
    lists->leads = lists->left.first == 1;
    if (lists->left.first)
        lists->left.first--;
    return true;
}

static bool op_well_formed(const struct op *op)
{
    switch (op->head.kind) {
    case KIND_INIT:
        return op->head.size == sizeof((struct wire_init *)0)->features;
    case KIND_SET_REG:
        return op->head.size <= BUFFER_SIZE && op->head.b <= 1 + BUFFER_SIZE;
    case KIND_GET_REG:
        return op->head.b <= 1 + BUFFER_SIZE;
    case KIND_SET_EVENTS:
        return op->head.size == sizeof(struct wire_events);
    case KIND_DEVICE_ATTR:
        return op->head.size == sizeof(uint64_t) && op->head.a < ASK_COUNT;
    case KIND_SMCCC_FILTER:
        return op->head.size == sizeof(struct wire_filter);
    case KIND_RUN:
        return op->head.size <= CODE_SIZE;
    case KIND_READ_ALL:
        return groups_well_formed(op->payload, op->head.size);
    case KIND_HOST_RUN:
        return op->head.size <= CODE_SIZE && op->head.b >> SVCR_SHIFT <= (SVCR_SM | SVCR_ZA);
    case KIND_DISTURB:
        return op->head.size == sizeof(struct wire_block) && op->head.a < STRANGER_COUNT &&
               op->head.b <= DELAY_LIMIT && block_well_formed(op->payload);
    case KIND_THREADS:
        return op->head.size == sizeof(struct wire_lists) && op->head.b <= DELAY_LIMIT &&
               lists_well_formed(op->payload);
    case KIND_MIGRATE:
        return op->head.size >= sizeof(struct wire_init) && op->head.a < SLOTS &&
               op->head.a != OTHER_SLOT && op->head.vcpu != OTHER_SLOT &&
               groups_well_formed(op->payload + sizeof(struct wire_init),
                                  op->head.size - sizeof(struct wire_init));
    default:
        return op->head.kind < KIND_COUNT;
    }
}

bool request_well_formed(const struct wire_request *head, const uint8_t *at, const uint8_t *end)
{
    struct op op;
    struct reading lists = {0};
    for (uint32_t i = 0; i < head->count; i++) {
        if (!next_op(&at, end, &op) || !op_well_formed(&op))
            return false;
        if (op.head.kind == KIND_PROBE && head->count != 1)
            return false;
        if (lists.left.span) {
            if (!read_beside(&lists, &op))
                return false;
        } else if (op.head.kind == KIND_THREADS) {
            lists = (struct reading){.leads = true, .runs = -1};
            memcpy(&lists.left, op.payload, sizeof lists.left);
        }
    }
    return at == end && !lists.left.span;
}

bool request_names_other(const struct wire_request *head, const uint8_t *at, const uint8_t *end)
{
    struct op op;
    for (uint32_t i = 0; i < head->count && next_op(&at, end, &op); i++)
        if (op.head.vcpu == OTHER_SLOT)
            return true;
    return false;
}
