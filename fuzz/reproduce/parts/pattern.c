
/*
 * A pattern tells bytes, the lowest first: two digits a byte, "..": any byte, "ab/0f": ab but
 * for the bits of 0f, "ab*16": sixteen times. Or one number: "0x3c5", and "0x3c0/0xf": but for
 * the bits of 0xf. " | " stands between patterns of which one has to fit.
 */
struct byte {
	unsigned int value, loose;
};

static unsigned int digits(const char **at)
{
	char text[3] = { (*at)[0], (*at)[1], 0 };

	*at += 2;
	return (unsigned int)strtoul(text, NULL, 16);
}

/* The bytes of the pattern at @at, up to @size of them; where it ends. */
static const char *expand(const char *at, struct byte *bytes, size_t size)
{
	size_t used = 0;

	memset(bytes, 0, size * sizeof(*bytes));
	if (!strncmp(at, "0x", 2)) {
		unsigned long long value = strtoull(at, (char **)&at, 16), loose = 0;

		if (*at == '/')
			loose = strtoull(at + 1, (char **)&at, 16);
		for (; used < size && used < 8; used++, value >>= 8, loose >>= 8)
			bytes[used] = (struct byte){ value & 0xff, loose & 0xff };
	}
	while (*at && *at != '|') {
		struct byte one = { 0, 0xff };
		unsigned long times = 1;

		if (*at == ' ') {
			at++;
			continue;
		}
		if (*at == '.')
			at += 2;
		else
			one = (struct byte){ digits(&at), 0 };
		if (*at == '/') {
			at++;
			one.loose = digits(&at);
		}
		if (*at == '*')
			times = strtoul(at + 1, (char **)&at, 10);
		for (; times && used < size; times--)
			bytes[used++] = one;
	}
	return at;
}
