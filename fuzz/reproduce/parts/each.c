
/* The same of @count pieces of data, @stride bytes apart; @label has their number. */
static void each(const char *label, unsigned int first, unsigned int count, size_t at,
		 size_t stride, size_t size, const char *pattern)
{
	char text[64];

	for (unsigned int i = 0; i < count; i++) {
		snprintf(text, sizeof(text), label, first + i);
		bytes(text, at + i * stride, size, pattern);
	}
}
