#include "observe.h"

#include <string.h>

#include "disturb.h"
#include "gic.h"
#include "host_run.h"
#include "migrate.h"
#include "ops.h"
#include "probe.h"
#include "protected.h"
#include "run.h"

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
    [KIND_SET_EVENTS] = op_set_events,
    [KIND_GET_EVENTS] = op_get_events,
    [KIND_DEVICE_ATTR] = op_device_attr,
    [KIND_SMCCC_FILTER] = op_smccc_filter,
    [KIND_ENABLE_CAP] = op_enable_cap,
    [KIND_CREATE_VM] = op_create_vm,
    [KIND_CREATE_GIC] = op_create_gic,
    [KIND_READ_MEM] = op_read_mem,
    [KIND_WRITE_MEM] = op_write_mem,
    [KIND_HOST_RUN] = op_host_run,
    [KIND_MIGRATE] = op_migrate,
    [KIND_DISTURB] = op_disturb,
};

bool observe(struct machine *m, const struct op *op, struct sink *out)
{
    struct observation begun;
    return observation_begin(&begun, out) &&
           observation_end(&begun, op, handlers[op->head.kind](m, op, out), out);
}

bool observation_begin(struct observation *begun, struct sink *out)
{
    begun->head = sink_take(out, sizeof *begun->head);
    begun->data = out->at;
    return begun->head;
}

bool observation_end(const struct observation *begun, const struct op *op,
                     struct outcome outcome, struct sink *out)
{
    uint64_t size = (uint64_t)(out->at - begun->data), padding = wire_padded(size) - size;
    void *zeros = sink_take(out, padding);
    if (out->full)
        return false;
    memset(zeros, 0, padding);
    *begun->head = (struct wire_observation){
        .kind = op->head.kind,
        .vcpu = op->head.vcpu,
        .err = outcome.err,
        .aux = outcome.aux,
        .size = (uint32_t)size,
    };
    return true;
}
