
static void put(const void *data, size_t size)
{
	size_t padded = (size + 7) & ~(size_t)7;

	if (seen->size + padded > ROOM)
		broken("too much data");
	memset(seen->data + seen->size, 0, padded);
	memcpy(seen->data + seen->size, data, size);
	seen->size += padded;
}

/* One register: its errno, its size (0 after an error), and its value, padded to 8 bytes. */
static int put_reg(int fd, __u64 id)
{
	struct kvm_one_reg reg = { .id = id, .addr = (unsigned long)buffer };
	int err = call(fd, KVM_GET_ONE_REG, &reg);
	__u32 head[2] = { (__u32)err, err ? 0 : 1u << (id >> 52 & 15) };

	put(head, sizeof(head));
	put(buffer, head[1]);
	return err;
}

#define NO_ID 0
static const __u64 groups[] = {
{{ groups }}
};

/* Every register; where the first of a group cannot be read the rest of it is left out. */
static int read_all(int fd)
{
	bool first = true, out = false;

	for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++) {
		if (groups[i] == NO_ID) {
			first = true;
			out = false;
			continue;
		}
		if (!out && put_reg(fd, groups[i]) && first)
			out = true;
		first = false;
	}
	return fd < 0 ? EBADF : 0;
}
