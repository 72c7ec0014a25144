
/* Byte by byte: emulators notice code that plain stores change, not always that of vectors. */
static void store_ram(size_t offset, const void *data, size_t size)
{
	volatile unsigned char *to = ram + offset;

	for (size_t i = 0; i < size; i++)
		to[i] = ((const unsigned char *)data)[i];
	sync_ram(ram + offset, size);
}
