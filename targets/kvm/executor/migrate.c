/* MIGRATE: what a VMM does to move a vcpu, with a look at every register on the way. */
#include "migrate.h"

#include <errno.h>
#include <string.h>

#include "ops.h"
#include "vm.h"

#define MOST_LISTED 1024u

struct moved {
    uint64_t id;
    uint32_t read, written; /* errnos of GET and SET */
    uint8_t value[LARGEST_REG];
};

/* The register list, with what the source holds. */
static struct moved moved[MOST_LISTED];

/* GET_ONE_REG into a buffer that takes a register of any size; zeros after an error. */
static uint32_t get_value(struct machine *m, int fd, uint64_t id, uint8_t *value)
{
    int err = get_reg(fd, id, m->out.start);
    if (err)
        memset(value, 0, LARGEST_REG);
    else
        memcpy(value, m->out.start, LARGEST_REG);
    return (uint32_t)err;
}

static int list(struct machine *m, int fd, uint64_t *count)
{
    struct kvm_reg_list *all = (struct kvm_reg_list *)m->out.start;
    all->n = MOST_LISTED;
    int err = call(fd, KVM_GET_REG_LIST, all);
    if (err)
        return err;
    *count = all->n < MOST_LISTED ? all->n : MOST_LISTED;
    for (uint64_t i = 0; i < *count; i++)
        moved[i].id = all->reg[i];
    return 0;
}

static const struct moved *find_vls(uint64_t count)
{
    for (uint64_t i = 0; i < count; i++)
        if (moved[i].id == KVM_REG_ARM64_SVE_VLS)
            return &moved[i];
    return NULL;
}

/* Create and configure the destination. An errno and the stage that failed. */
static int prepare(struct machine *m, const struct op *op, const struct moved *vls,
                   enum wire_stage *stage)
{
    const struct vcpu *to = &m->vcpus[op->head.a];
    struct wire_init parameters;
    memcpy(&parameters, op->payload, sizeof parameters);
    struct kvm_vcpu_init init = {.target = parameters.target};
    memcpy(init.features, parameters.features, sizeof init.features);

    *stage = STAGE_CREATE;
    int err = vm_create_vcpu(m, (uint8_t)op->head.a);
    if (err)
        return err;
    *stage = STAGE_INIT;
    err = vm_init_vcpu(m, (uint8_t)op->head.a, &init);
    if (err || !vls)
        return err;
    *stage = STAGE_VLS;
    err = vls->read ? (int)vls->read : set_reg(to->fd, vls->id, vls->value);
    if (err)
        return err;
    *stage = STAGE_FINALIZE;
    int what = KVM_ARM_VCPU_SVE;
    return call(to->fd, KVM_ARM_VCPU_FINALIZE, &what);
}

static uint64_t shown_size(uint64_t id)
{
    return reg_size(id) < LARGEST_REG ? reg_size(id) : LARGEST_REG;
}

static void put_record(const struct moved *r, uint32_t read_back, const uint8_t *value,
                       struct sink *out)
{
    uint64_t size = shown_size(r->id);
    struct wire_record head = {
        .id = r->id,
        .read = r->read,
        .written = r->written,
        .read_back = read_back,
        .size = (uint32_t)size,
    };
    sink_put(out, &head, sizeof head);
    sink_put_padded(out, r->value, size);
    sink_put_padded(out, value, size);
}

/* Set the registers, but for VLS, in their order; then tell of those that read back otherwise.
 * What could not be read is not set. Returns the number of records. */
static uint64_t transfer(struct machine *m, int to, uint64_t count, const struct moved *vls,
                         struct sink *out)
{
    uint64_t records = 0;
    for (uint64_t i = 0; i < count; i++)
        if (&moved[i] != vls)
            moved[i].written =
                moved[i].read ? 0 : (uint32_t)set_reg(to, moved[i].id, moved[i].value);
    for (uint64_t i = 0; i < count; i++) {
        const struct moved *r = &moved[i];
        uint8_t value[LARGEST_REG];
        uint32_t read_back = get_value(m, to, r->id, value);
        if (r == vls)
            continue;
        if (!r->read && !r->written && !read_back &&
            memcmp(r->value, value, shown_size(r->id)) == 0)
            continue;
        put_record(r, read_back, value, out);
        records++;
    }
    return records;
}

struct outcome op_migrate(struct machine *m, const struct op *op, struct sink *out)
{
    const uint8_t *groups = op->payload + sizeof(struct wire_init);
    const uint8_t *end = op->payload + op->head.size;
    const struct moved *vls = NULL;
    int source = m->vcpus[op->head.vcpu].fd;
    uint64_t count = 0, records = 0;
    enum wire_stage stage = STAGE_LIST;

    uint64_t *length = sink_take(out, sizeof *length);
    const uint8_t *block = out->at;
    int err = list(m, source, &count);
    if (!err) {
        read_groups(m, source, groups, end, out);
        for (uint64_t i = 0; i < count; i++)
            moved[i].read = get_value(m, source, moved[i].id, moved[i].value);
        vls = find_vls(count);
        err = prepare(m, op, vls, &stage);
    }
    if (length)
        *length = (uint64_t)(out->at - block);
    sink_put(out, &count, sizeof count);
    uint64_t *told = sink_take(out, sizeof *told);
    if (!err)
        records = transfer(m, m->vcpus[op->head.a].fd, count, vls, out);
    if (told)
        *told = records;
    return (struct outcome){.err = (uint32_t)err, .aux = err ? stage : 0};
}
