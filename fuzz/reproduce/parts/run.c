
#define VBAR(el) ARM64_SYS_REG(3, (el) == 1 ? 0 : 4, 12, 0, 0)

/* What is seen of an exit. */
struct left {
	__u32 reason, is_write;
	__u64 address, value;
	__u32 length, flags;
};

#define NOT_RUNNABLE 1	/* flags: run with immediate_exit for that */
#define TIMED_OUT 2	/* the time was up */

#define LIMIT_MS 10000	/* of a KVM_RUN; of one that may wait for what never comes: */
#define WAIT_MS 1000

static bool may_wait;	/* the next run */
static struct kvm_run *volatile running;
static volatile sig_atomic_t struck;

/* The signal ends a KVM_RUN in progress, immediate_exit one that is about to begin. */
static void strike(int number)
{
	(void)number;
	if (!running)
		return;
	struck = 1;
	running->immediate_exit = 1;
}

static void limit(struct kvm_run *run, unsigned int ms)
{
	struct itimerval time = {
		.it_value = { .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 },
		.it_interval = { .tv_usec = ms ? 50000 : 0 },
	};
	struct sigaction action = { .sa_handler = strike };

	sigaction(SIGALRM, &action, NULL);
	running = run;
	setitimer(ITIMER_REAL, &time, NULL);
}

/* Vector i of EL1 and EL2 stores to 0x50000100 + 8 * i, and so leaves the guest. */
static void store_vectors(void)
{
	for (__u32 i = 0; i < 16; i++) {
		const __u32 code[] = {
			0xd2aa001e,				/* movz x30, #0x5000, lsl #16 */
			0xf280001e | (0x100 + 8 * i) << 5,	/* movk x30, #0x100 + 8 * i */
			0xf90003de,				/* str x30, [x30] */
		};

		store_ram(0x80 * i, code, sizeof(code));
	}
}

static __u64 set_u64(int fd, __u64 id, __u64 value)
{
	struct kvm_one_reg reg = { .id = id, .addr = (unsigned long)&value };

	return (__u64)call(fd, KVM_SET_ONE_REG, &reg);
}

static int enter(const struct vcpu *v, bool immediate, struct left *left)
{
	struct kvm_run *run = v->run;
	int err;

	if (!run)
		return call(v->fd, KVM_RUN, NULL);
	run->exit_reason = 0;
	struck = 0;
	limit(run, may_wait ? WAIT_MS : LIMIT_MS);
	may_wait = false;
	run->immediate_exit = immediate;
	err = call(v->fd, KVM_RUN, NULL);
	limit(NULL, 0);
	run->immediate_exit = 0;
	if (err == EINTR && struck && !immediate)
		left->flags |= TIMED_OUT;
	if (err)
		return err;
	left->reason = run->exit_reason;
	if (run->exit_reason == KVM_EXIT_SYSTEM_EVENT) {
		left->is_write = run->system_event.type;
		left->address = run->system_event.data[0];
	}
	if (run->exit_reason == KVM_EXIT_ARM_NISV) {
		left->is_write = (__u32)run->arm_nisv.esr_iss;
		left->address = run->arm_nisv.fault_ipa;
	}
	if (run->exit_reason != KVM_EXIT_MMIO)
		return 0;
	left->is_write = run->mmio.is_write;
	left->address = run->mmio.phys_addr;
	left->length = run->mmio.len;
	if (run->mmio.is_write)
		memcpy(&left->value, run->mmio.data, run->mmio.len <= 8 ? run->mmio.len : 8);
	else
		memset(run->mmio.data, 0, sizeof(run->mmio.data));
	run->immediate_exit = 1; /* complete the access */
	ioctl(v->fd, KVM_RUN, 0);
	run->immediate_exit = 0;
	return 0;
}

/*
 * Run @code, at CODE_BASE, until it stores outside RAM. Its last two words do. The errnos of
 * setting PC and VBAR_EL1 are told as aux, the latter in the upper half.
 */
static int run(unsigned int n, const __u32 *code, size_t size, bool immediate)
{
	const struct vcpu *v = &vcpus[n];
	struct kvm_mp_state mp;
	struct left left = { 0 };
	int err;

	store_vectors();
	store_ram(CODE_BASE - RAM_BASE, code, size);
	seen->aux = set_u64(v->fd, CORE(U64, regs.pc), CODE_BASE);
	seen->aux |= set_u64(v->fd, VBAR(1), RAM_BASE) << 32;
{% if "el2" in parts %}
	if (has_el2) {
		set_u64(v->fd, VBAR(2), RAM_BASE);
		prepare_el2();
	}
{% endif %}
	if (!call(v->fd, KVM_GET_MP_STATE, &mp) && mp.mp_state != KVM_MP_STATE_RUNNABLE) {
		left.flags |= NOT_RUNNABLE;
		immediate = true;
	}
	err = enter(v, immediate, &left);
	seen->size = sizeof(left);
	memcpy(seen->data, &left, sizeof(left));
	return err;
}
