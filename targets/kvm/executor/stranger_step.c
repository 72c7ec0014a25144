/* Whoever debugs the guest: each of its instructions is a KVM_RUN of its own. */
#include "stranger_step.h"

/* After so many instructions of a run the guest is let go: it may be in a loop. */
#define MOST_STEPS 400

#define EC_SHIFT 26
#define EC_SOFTWARE_STEP 0x32u

static bool around;
static bool debugging;
static unsigned steps, left;

static int control(const struct vcpu *v, uint32_t flags)
{
    struct kvm_guest_debug debug = {.control = flags};
    return call(v->fd, KVM_SET_GUEST_DEBUG, &debug);
}

void stranger_step_begin(const struct vcpu *v)
{
    left = MOST_STEPS;
    debugging = around && v->run &&
                control(v, KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP) == 0;
}

bool stranger_stepped(const struct vcpu *v)
{
    if (!debugging || v->run->exit_reason != KVM_EXIT_DEBUG)
        return false;
    steps++;
    /* A BRK of the guest's own is not for the debugger, who lets it have that. */
    if (--left == 0 || v->run->debug.arch.hsr >> EC_SHIFT != EC_SOFTWARE_STEP)
        stranger_step_end(v);
    return true;
}

void stranger_step_end(const struct vcpu *v)
{
    if (debugging)
        control(v, 0);
    debugging = false;
}

static bool available(void)
{
    return true;
}

static size_t begin(int cpu, uint64_t vl)
{
    (void)cpu;
    (void)vl;
    around = true;
    steps = 0;
    return 0;
}

static void arm(uint64_t ns)
{
    (void)ns; /* it is there from the first instruction */
}

static void end(struct wire_disturb *seen, uint8_t *more)
{
    (void)more;
    around = false;
    seen->fired = steps;
}

const struct stranger stranger_step = {available, begin, arm, end};
