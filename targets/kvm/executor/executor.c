#include "executor.h"

#include <string.h>

#include "disturb.h"
#include "observe.h"
#include "phase.h"
#include "reuse.h"
#include "run.h"
#include "threads.h"
#include "vm.h"

void vf_look_after(unsigned ms)
{
    run_look_after(ms);
}

void vf_keep_phase(void)
{
    phase_keep();
}

static volatile uint32_t *progress;

void vf_count_progress(volatile uint32_t *counter)
{
    progress = counter;
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
    m->end = end;
    if (request_names_other(head, at, end) && vm_begin_other(m) != 0) {
        vm_end(m);
        answer->status = STATUS_NO_VM;
        return;
    }
    while (answer->count < head->count && next_op(&at, end, &op)) {
        uint8_t *before = out->at;
        if (disturb_active() && op.head.kind != KIND_RUN && op.head.kind != KIND_HOST_RUN) {
            phase_wait();
            disturb_arm(); /* runs are armed for where the guest begins */
        }
        uint32_t done = 1;
        bool fits = op.head.kind == KIND_THREADS ? threads_observe(m, &op, &at, end, out, &done)
                                                 : observe(machine_about(m, &op.head), &op, out);
        for (uint32_t i = 0; i < done && disturb_active(); i++)
            disturb_op_done();
        if (!fits) {
            out->at = before;
            answer->status = STATUS_FULL;
            break;
        }
        answer->count += done;
        if (progress)
            *progress += done;
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
