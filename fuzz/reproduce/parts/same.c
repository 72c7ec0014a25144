
/* It has to be what step @earlier saw at @there, too: nothing has changed it since. */
static void same(const char *label, size_t at, size_t size, unsigned int earlier, size_t there)
{
	if (!fits || !memcmp(seen->data + at, steps[earlier - 1].data + there, size))
		return;
	note("# expected: %s as in step %u\n", label, earlier);
	show(label, seen->data + at, size, 0);
	fits = false;
}
