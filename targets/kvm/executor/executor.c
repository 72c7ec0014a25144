#include "executor.h"

#include <string.h>

#include "disturb.h"
#include "host_run.h"
#include "migrate.h"
#include "ops.h"
#include "probe.h"
#include "reuse.h"
#include "run.h"
#include "vm.h"

void vf_look_after(unsigned ms)
{
    run_look_after(ms);
}

static volatile uint32_t *progress;

void vf_count_progress(volatile uint32_t *counter)
{
    progress = counter;
}

static handler *const handlers[KIND_COUNT] = {
    [KIND_PROBE] = op_probe,
    [KIND_CREATE_VCPU] = op_create,
    [KIND_PREF_TARGET] = op_pref_target,
    [KIND_INIT] = op_init,
    [KIND_FINALIZE] = op_finalize,
    [KIND_SET_REG] = op_set_reg,
    [KIND_GET_REG] = op_get_reg,
    [KIND_REG_LIST] = op_reg_list,
    [KIND_RUN] = op_run,
    [KIND_READ_ALL] = op_read_all,
    [KIND_SET_MP] = op_set_mp,
    [KIND_GET_MP] = op_get_mp,
    [KIND_READ_MEM] = op_read_mem,
    [KIND_WRITE_MEM] = op_write_mem,
    [KIND_HOST_RUN] = op_host_run,
    [KIND_MIGRATE] = op_migrate,
    [KIND_DISTURB] = op_disturb,
};

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
    if (!m || vm_begin(m, &reuse) != 0) {
        answer->status = STATUS_NO_VM;
        return;
    }
    while (answer->count < head->count && next_op(&at, end, &op)) {
        uint8_t *before = out->at;
        if (disturb_active() && op.head.kind != KIND_RUN && op.head.kind != KIND_HOST_RUN)
            disturb_arm(); /* runs are armed for where the guest begins */
        bool fits = observe(m, &op, out);
        if (disturb_active())
            disturb_op_done();
        if (!fits) {
            out->at = before;
            answer->status = STATUS_FULL;
            break;
        }
        answer->count++;
        if (progress)
            ++*progress;
    }
    disturb_end();
    vm_end(m);
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
        if (fits && head.magic == WIRE_REQUEST_MAGIC && request_well_formed(&head, at, end)) {
            answer.status = STATUS_OK;
            execute(&head, at, end, &answer, &out);
        }
    }
    answer.total = (uint32_t)(out.at - resp);
    memcpy(resp, &answer, sizeof answer);
    return answer.total;
}
