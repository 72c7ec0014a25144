
/* KVM_SET_ONE_REG of the bytes of a pattern; with @mapped, only so many of them are mapped. */
static int set_reg(unsigned int n, __u64 id, const char *value, size_t size, long mapped)
{
	static struct byte content[ROOM];
	unsigned char *at = mapped < 0 ? buffer : buffer + RAM_SIZE - mapped;
	struct kvm_one_reg reg = { .id = id, .addr = (unsigned long)at };
	int err;

	expand(value, content, size);
	for (size_t i = 0; i < size && (mapped < 0 || i < (size_t)mapped); i++)
		at[i] = (unsigned char)content[i].value;
	err = call(vcpus[n].fd, KVM_SET_ONE_REG, &reg);
	memset(buffer, 0, RAM_SIZE);
	return err;
}
