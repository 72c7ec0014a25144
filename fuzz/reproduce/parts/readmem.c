
static int read_ram(size_t offset, size_t size)
{
	sync_ram(ram + offset, size);
	seen->size = size;
	memcpy(seen->data, ram + offset, size);
	return 0;
}
