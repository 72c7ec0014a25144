
/* KVM_GET_ONE_REG into a buffer of bytes 5a, of which @mapped are mapped, all if negative. */
static int get_reg(unsigned int n, __u64 id, size_t size, long mapped)
{
	unsigned char *at = mapped < 0 ? buffer : buffer + RAM_SIZE - mapped;
	struct kvm_one_reg reg = { .id = id, .addr = (unsigned long)at };
	int err;

	memset(buffer, 0x5a, RAM_SIZE);
	err = call(vcpus[n].fd, KVM_GET_ONE_REG, &reg);
	seen->size = mapped < 0 || size < (size_t)mapped ? size : (size_t)mapped;
	memcpy(seen->data, at, seen->size);
	memset(buffer, 0, RAM_SIZE);
	return err;
}
