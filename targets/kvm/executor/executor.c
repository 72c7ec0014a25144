#include "executor.h"

#include <string.h>

#include "ops.h"

static volatile uint32_t *progress;

void vf_count_progress(volatile uint32_t *counter)
{
    progress = counter;
}

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

static bool well_formed(const struct wire_request *head, const uint8_t *at, const uint8_t *end)
{
    struct op op;
    for (uint32_t i = 0; i < head->count; i++) {
        if (!next_op(&at, end, &op) || !op_well_formed(&op))
            return false;
        if (op.head.kind == KIND_PROBE && head->count != 1)
            return false;
    }
    return at == end;
}

/* Execute one op and append its observation; false if that did not fit. */
static bool observe(struct machine *m, const struct op *op, struct sink *out)
{
    struct wire_observation *seen = sink_take(out, sizeof *seen);
    if (!seen)
        return false;
    const uint8_t *data = out->at;
    struct outcome outcome = handlers[op->head.kind](m, op, out);
    uint64_t size = (uint64_t)(out->at - data), padding = wire_padded(size) - size;
    void *zeros = sink_take(out, padding);
    if (out->full)
        return false;
    memset(zeros, 0, padding);
    *seen = (struct wire_observation){
        .kind = op->head.kind,
        .vcpu = op->head.vcpu,
        .err = outcome.err,
        .aux = outcome.aux,
        .size = (uint32_t)size,
    };
    return true;
}

static void execute(const struct wire_request *head, const uint8_t *at, const uint8_t *end,
                    struct wire_response *answer, struct sink *out)
{
    struct machine *m = machine_get();
    struct reuse reuse = reuse_of(head, at, end);
    struct op op;
    if (!m || machine_begin(m, &reuse) != 0) {
        answer->status = STATUS_NO_VM;
        return;
    }
    while (answer->count < head->count && next_op(&at, end, &op)) {
        uint8_t *before = out->at;
        if (!observe(m, &op, out)) {
            out->at = before;
            answer->status = STATUS_FULL;
            break;
        }
        answer->count++;
        if (progress)
            ++*progress;
    }
    machine_end(m);
}

size_t vf_execute(const uint8_t *req, size_t req_len, uint8_t *resp, size_t resp_cap)
{
    struct wire_response answer = {.magic = WIRE_RESPONSE_MAGIC, .status = STATUS_MALFORMED};
    struct wire_request head;
    if (resp_cap < sizeof answer)
        return 0;
    struct sink out = {.at = resp + sizeof answer, .end = resp + (resp_cap & ~(size_t)7)};
    if (req_len >= sizeof head) {
        memcpy(&head, req, sizeof head);
        bool fits = head.total >= sizeof head && head.total <= req_len;
        const uint8_t *at = req + sizeof head, *end = req + (fits ? head.total : sizeof head);
        if (fits && head.magic == WIRE_REQUEST_MAGIC && well_formed(&head, at, end)) {
            answer.status = STATUS_OK;
            execute(&head, at, end, &answer, &out);
        }
    }
    answer.total = (uint32_t)(out.at - resp);
    memcpy(resp, &answer, sizeof answer);
    return answer.total;
}
