
static int messages = -1;

static void hear(void)
{
	messages = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (messages >= 0)
		lseek(messages, 0, SEEK_END);
}

/* Whether the kernel complained since: 0 or EIO. */
static int complained(void)
{
	static const char *const words[] = {
		"WARNING:", "BUG:", "Oops", "Internal error:", "Unable to handle kernel",
		"kernel BUG at",
	};
	char record[8192];
	ssize_t size;

	for (;;) {
		size = read(messages, record, sizeof(record) - 1);
		if (size < 0 && errno == EPIPE)
			continue; /* some were overwritten */
		if (size <= 0)
			return 0;
		record[size] = 0;
		for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
			if (strstr(record, words[i])) {
				note("# the kernel said: %.*s\n", (int)strcspn(record, "\n"), record);
				return EIO;
			}
	}
}
