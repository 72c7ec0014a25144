#include "protected.h"

#include <string.h>

#include "vm.h"

static bool has_program(const struct op *op)
{
    return (op->head.kind == KIND_RUN || op->head.kind == KIND_HOST_RUN) &&
           op->head.vcpu != OTHER_SLOT;
}

/* The ops behind the present place in a request that have a program, and where in RAM it is. */
struct programs {
    const uint8_t *at, *end;
    uint32_t next;
};

/* Step to the next of them; false behind the last. `*offset`: 0 where there is no room for it. */
static bool next_program(struct programs *all, struct op *op, uint32_t *offset)
{
    while (next_op(&all->at, all->end, op)) {
        if (!has_program(op))
            continue;
        const uint32_t size = (op->head.size + CODE_ALIGNMENT - 1) & ~(CODE_ALIGNMENT - 1);
        const bool fits = size <= CODE_OFFSET + CODE_SIZE - all->next;
        *offset = fits ? all->next : 0;
        if (fits)
            all->next += size;
        return true;
    }
    return false;
}

static void lay_out(struct machine *m)
{
    struct programs all = {.at = m->programs, .end = m->end, .next = CODE_OFFSET};
    struct op op;
    uint32_t offset;
    while (next_program(&all, &op, &offset))
        if (offset)
            ram_write(m, offset, op.payload, op.head.size);
}

struct outcome op_create_vm(struct machine *m, const struct op *op, struct sink *out)
{
    (void)out;
    int err = vm_replace(m, op->head.a);
    if (!err && op->head.a & VM_PROTECTED) {
        m->programs = op->payload + wire_padded(op->head.size);
        lay_out(m);
    }
    return (struct outcome){.err = (uint32_t)err};
}

bool protected_prepare(struct machine *m, const struct op *op, uint32_t *offset)
{
    struct programs all = {.at = m->programs, .end = m->end, .next = CODE_OFFSET};
    struct op each;
    m->given = true;
    while (next_program(&all, &each, offset))
        if (each.payload == op->payload)
            return *offset;
    return false;
}
