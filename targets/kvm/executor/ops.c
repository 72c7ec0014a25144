#include "ops.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#include "vm.h"

static int fd_of(const struct machine *m, const struct op *op)
{
    return m->vcpus[op->head.vcpu].fd;
}

static struct outcome only(int err)
{
    return (struct outcome){.err = (uint32_t)err};
}

struct outcome op_create(struct machine *m, const struct op *op, struct sink *out)
{
    (void)out;
    return only(vm_create_vcpu(m, op->head.vcpu));
}

struct outcome op_pref_target(struct machine *m, const struct op *op, struct sink *out)
{
    (void)op;
    struct kvm_vcpu_init init;
    memset(&init, 0, sizeof init);
    int err = call(m->vm, KVM_ARM_PREFERRED_TARGET, &init);
    if (!err)
        sink_put(out, &init, sizeof init);
    return only(err);
}

struct outcome op_init(struct machine *m, const struct op *op, struct sink *out)
{
    (void)out;
    struct kvm_vcpu_init init = {.target = (uint32_t)op->head.a};
    memcpy(init.features, op->payload, sizeof init.features);
    return only(vm_init_vcpu(m, op->head.vcpu, &init));
}

struct outcome op_finalize(struct machine *m, const struct op *op, struct sink *out)
{
    (void)out;
    int what = (int)(uint32_t)op->head.a;
    return only(call(fd_of(m, op), KVM_ARM_VCPU_FINALIZE, &what));
}

struct outcome op_set_reg(struct machine *m, const struct op *op, struct sink *out)
{
    (void)out;
    uint64_t mapped = op->head.b ? op->head.b - 1 : BUFFER_SIZE;
    uint64_t used = op->head.size < mapped ? op->head.size : mapped;
    uint8_t *buffer = edge_at(&m->in, op->head.b);
    memcpy(buffer, op->payload, used);
    int err = set_reg(fd_of(m, op), op->head.a, buffer);
    memset(buffer, 0, used);
    return only(err);
}

struct outcome op_get_reg(struct machine *m, const struct op *op, struct sink *out)
{
    uint64_t size = reg_size(op->head.a);
    uint64_t shown = op->head.b ? op->head.b - 1 : size < LARGEST_REG ? size : LARGEST_REG;
    uint8_t *buffer = edge_at(&m->out, op->head.b);
    memset(buffer, FILL, shown);
    int err = get_reg(fd_of(m, op), op->head.a, buffer);
    sink_put(out, buffer, shown);
    return only(err);
}

struct outcome op_reg_list(struct machine *m, const struct op *op, struct sink *out)
{
    struct kvm_reg_list *list = (struct kvm_reg_list *)m->out.start;
    const uint64_t room = BUFFER_SIZE / sizeof list->reg[0] - 1;
    const uint64_t less = ROOM_EXACT - op->head.a;
    list->n = less > 1 ? op->head.a : 0;
    int err = call(fd_of(m, op), KVM_GET_REG_LIST, list);
    if (less <= 1 && err == E2BIG) {
        list->n -= less;
        err = call(fd_of(m, op), KVM_GET_REG_LIST, list);
    }
    sink_put(out, &list->n, sizeof list->n);
    if (!err && list->n <= room)
        sink_put(out, list->reg, list->n * sizeof list->reg[0]);
    return only(err);
}

static void read_one(int fd, uint64_t id, uint8_t *buffer, struct sink *out, uint32_t *err)
{
    struct { uint32_t err, size; } head;
    uint64_t size = reg_size(id);
    *err = (uint32_t)get_reg(fd, id, buffer);
    head.err = *err;
    head.size = *err ? 0 : (uint32_t)size;
    sink_put(out, &head, sizeof head);
    sink_put_padded(out, buffer, head.size);
}

void read_groups(struct machine *m, int fd, const uint8_t *at, const uint8_t *end,
                 struct sink *out)
{
    while (at < end) {
        uint32_t count, err;
        memcpy(&count, at, sizeof count);
        at += 8;
        for (uint32_t i = 0; i < count; i++) {
            uint64_t id;
            memcpy(&id, at + 8ull * i, sizeof id);
            read_one(fd, id, m->out.start, out, &err);
            if (i == 0 && err)
                break;
        }
        at += 8ull * count;
    }
}

struct outcome op_read_all(struct machine *m, const struct op *op, struct sink *out)
{
    int fd = fd_of(m, op);
    read_groups(m, fd, op->payload, op->payload + op->head.size, out);
    return only(fd < 0 ? EBADF : 0);
}

struct outcome op_set_mp(struct machine *m, const struct op *op, struct sink *out)
{
    (void)out;
    struct kvm_mp_state state = {.mp_state = (uint32_t)op->head.a};
    return only(call(fd_of(m, op), KVM_SET_MP_STATE, &state));
}

struct outcome op_get_mp(struct machine *m, const struct op *op, struct sink *out)
{
    struct kvm_mp_state state = {0};
    int err = call(fd_of(m, op), KVM_GET_MP_STATE, &state);
    if (!err)
        sink_put(out, &state.mp_state, sizeof state.mp_state);
    return only(err);
}

_Static_assert(sizeof(struct kvm_vcpu_events) == sizeof(struct wire_events), "vcpu events");

struct outcome op_set_events(struct machine *m, const struct op *op, struct sink *out)
{
    (void)out;
    struct kvm_vcpu_events events;
    memcpy(&events, op->payload, sizeof events);
    return only(call(fd_of(m, op), KVM_SET_VCPU_EVENTS, &events));
}

struct outcome op_get_events(struct machine *m, const struct op *op, struct sink *out)
{
    struct kvm_vcpu_events events;
    memset(&events, 0, sizeof events);
    int err = call(fd_of(m, op), KVM_GET_VCPU_EVENTS, &events);
    if (!err)
        sink_put(out, &events, sizeof events);
    return only(err);
}

struct outcome op_device_attr(struct machine *m, const struct op *op, struct sink *out)
{
    static const unsigned long requests[ASK_COUNT] = {
        [ASK_HAS] = KVM_HAS_DEVICE_ATTR,
        [ASK_GET] = KVM_GET_DEVICE_ATTR,
        [ASK_SET] = KVM_SET_DEVICE_ATTR,
    };
    uint64_t value = 0;
    if (op->head.a == ASK_SET)
        memcpy(&value, op->payload, sizeof value);
    struct kvm_device_attr attr = {
        .group = (uint32_t)op->head.b,
        .attr = op->head.b >> 32,
        .addr = (uintptr_t)&value,
    };
    int err = call(fd_of(m, op), requests[op->head.a], &attr);
    if (!err && op->head.a == ASK_GET)
        sink_put(out, &value, sizeof value);
    return only(err);
}

/* Newer than some headers: KVM_ARM_VM_SMCCC_CTRL, KVM_ARM_VM_SMCCC_FILTER and the struct. */
#define VM_SMCCC_CTRL 0
#define VM_SMCCC_FILTER 0

struct outcome op_smccc_filter(struct machine *m, const struct op *op, struct sink *out)
{
    (void)out;
    struct wire_filter wanted;
    memcpy(&wanted, op->payload, sizeof wanted);
    struct {
        uint32_t base, nr_functions;
        uint8_t action, pad[15];
    } filter = {wanted.base, wanted.count, (uint8_t)wanted.action, {0}};
    struct kvm_device_attr attr = {
        .group = VM_SMCCC_CTRL,
        .attr = VM_SMCCC_FILTER,
        .addr = (uintptr_t)&filter,
    };
    return only(call(m->vm, KVM_SET_DEVICE_ATTR, &attr));
}

struct outcome op_enable_cap(struct machine *m, const struct op *op, struct sink *out)
{
    (void)out;
    struct kvm_enable_cap cap = {.cap = (uint32_t)op->head.a, .flags = (uint32_t)op->head.b};
    int err = call(m->vm, KVM_ENABLE_CAP, &cap);
    if (!err && cap.cap == KVM_CAP_ARM_MTE)
        ram_untag(m);
    return only(err);
}

static uint64_t clip(uint64_t offset, uint64_t length)
{
    uint64_t room = offset < RAM_SIZE ? RAM_SIZE - offset : 0;
    return length < room ? length : room;
}

struct outcome op_read_mem(struct machine *m, const struct op *op, struct sink *out)
{
    uint64_t length = clip(op->head.a, op->head.b);
    if (m->given)
        return only(EFAULT);
    if (length) {
        sync_data(m->ram + op->head.a, length);
        sink_put(out, m->ram + op->head.a, length);
    }
    return only(0);
}

struct outcome op_write_mem(struct machine *m, const struct op *op, struct sink *out)
{
    (void)out;
    uint64_t length = clip(op->head.a, op->head.size);
    if (m->given)
        return only(EFAULT);
    if (length)
        ram_write(m, (uint32_t)op->head.a, op->payload, length);
    return only(0);
}
