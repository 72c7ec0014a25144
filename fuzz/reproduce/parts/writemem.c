
static int write_ram(size_t offset, const char *value, size_t size)
{
	static struct byte content[ROOM];
	static unsigned char data[ROOM];

	expand(value, content, size);
	for (size_t i = 0; i < size; i++)
		data[i] = (unsigned char)content[i].value;
	store_ram(offset, data, size);
	return 0;
}
