
static void show(const char *label, const unsigned char *data, size_t size, size_t wrong)
{
	size_t from = wrong & ~(size_t)15, i;

	note("# observed: %s =", label);
	if (size <= 8) {
		note(" 0x");
		for (i = size; i-- > 0;)
			note("%02x", data[i]);
	} else {
		for (i = from; i < size && i < from + 16; i++)
			note(" %02x", data[i]);
		note(" in bytes %zu to %zu", from, i - 1);
	}
	note("\n");
}

/* The first byte that does not fit; @size where all do. */
static size_t misfit(const struct byte *bytes, const unsigned char *data, size_t size)
{
	size_t i;

	for (i = 0; i < size; i++)
		if ((bytes[i].value ^ data[i]) & ~bytes[i].loose)
			break;
	return i;
}

/* The step's data at @at has to fit a pattern. */
static void bytes(const char *label, size_t at, size_t size, const char *pattern)
{
	static struct byte expected[ROOM];
	const char *left = pattern;
	size_t wrong = 0;

	if (!fits)
		return;
	if (at + size > seen->size) {
		note("# expected: %s, observed: %zu bytes in all\n", label, seen->size);
		fits = false;
		return;
	}
	for (;;) {
		size_t i;

		left = expand(left, expected, size);
		i = misfit(expected, seen->data + at, size);
		if (i == size)
			return;
		wrong = i > wrong ? i : wrong;
		if (!*left++)
			break;
	}
	note("# expected: %s = %s\n", label, pattern);
	show(label, seen->data + at, size, wrong);
	fits = false;
}
