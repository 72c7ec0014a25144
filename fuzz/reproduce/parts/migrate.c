
#define MOST 1024
#define LARGEST 256

static struct moved {
	__u64 id;
	int read, written, back;
	unsigned char value[LARGEST], arrived[LARGEST];
} moved[MOST];

static int get_moved(int fd, __u64 id, unsigned char *value)
{
	struct kvm_one_reg reg = { .id = id, .addr = (unsigned long)buffer };
	int err = call(fd, KVM_GET_ONE_REG, &reg);

	memcpy(value, buffer, LARGEST);
	return err;
}

static int set_moved(int fd, __u64 id, void *value)
{
	struct kvm_one_reg reg = { .id = id, .addr = (unsigned long)value };

	return call(fd, KVM_SET_ONE_REG, &reg);
}

static int list_moved(int fd, __u64 *count)
{
	struct kvm_reg_list *list = (struct kvm_reg_list *)buffer;
	int err;

	list->n = MOST;
	err = call(fd, KVM_GET_REG_LIST, list);
	*count = err ? 0 : list->n < MOST ? list->n : MOST;
	for (__u64 i = 0; i < *count; i++)
		moved[i].id = list->reg[i];
	return err;
}

/* Timers go on counting; all else has to arrive as it was. */
static bool may_differ(__u64 id)
{
	return (id & KVM_REG_ARM_COPROC_MASK) == KVM_REG_ARM64_SYSREG && (id >> 7 & 15) == 14;
}

static __u64 listed;
static struct moved *lost;	/* the first register that did not arrive */

static struct moved *arrive(int to, __u64 count, const struct moved *vls)
{
	struct moved *first = NULL;

	for (struct moved *m = moved; m < moved + count; m++)
		if (m != vls)
			m->written = m->read ? 0 : set_moved(to, m->id, m->value);
	for (struct moved *m = moved; m < moved + count; m++) {
		size_t size = 1u << (m->id >> 52 & 15);

		m->back = get_moved(to, m->id, m->arrived);
		if (m == vls || first || may_differ(m->id))
			continue;
		if (m->read || m->written || m->back ||
		    memcmp(m->value, m->arrived, size < LARGEST ? size : LARGEST))
			first = m;
	}
	return first;
}

/*
 * What a VMM does to move a vcpu: list and read the registers of @from, create and initialise
 * @to, restore them there in their order. All registers of @from are the step's data; the
 * stage that failed is told as aux: 1 list, 2 create, 3 INIT, 4 vector lengths, 5 FINALIZE.
 */
static int migrate(unsigned int from, unsigned int to, const __u32 features[7])
{
	int source = vcpus[from].fd, what = KVM_ARM_VCPU_SVE, err;
	struct moved *vls = NULL;
	__u64 count, size;

	lost = NULL;
	listed = 0;
	seen->aux = 1;
	seen->size = sizeof(size);
	memset(seen->data, 0, sizeof(size));
	err = list_moved(source, &count);
	if (err)
		return err;
	read_all(source);
	size = seen->size - sizeof(size);
	memcpy(seen->data, &size, sizeof(size));
	for (__u64 i = 0; i < count; i++) {
		moved[i].read = get_moved(source, moved[i].id, moved[i].value);
		if (moved[i].id == KVM_REG_ARM64_SVE_VLS)
			vls = &moved[i];
	}
	seen->aux = 2;
	err = create_vcpu(to);
	if (err)
		return err;
	seen->aux = 3;
	err = init_vcpu(to, KVM_ARM_TARGET_GENERIC_V8, features);
	if (err)
		return err;
	if (vls) {
		seen->aux = 4;
		err = vls->read ? vls->read : set_moved(vcpus[to].fd, vls->id, vls->value);
		if (err)
			return err;
		seen->aux = 5;
		err = call(vcpus[to].fd, KVM_ARM_VCPU_FINALIZE, &what);
		if (err)
			return err;
	}
	seen->aux = 0;
	listed = count;
	lost = arrive(vcpus[to].fd, count, vls);
	return 0;
}
