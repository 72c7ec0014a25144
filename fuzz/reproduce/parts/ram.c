
/* The guest's caches are off: make what we write visible to it, and what it writes to us. */
static void sync_ram(const unsigned char *start, size_t size)
{
	const unsigned char *at;
	unsigned long ctr;
	size_t line;

	asm volatile("mrs %0, ctr_el0" : "=r"(ctr));
	line = (size_t)4 << (ctr >> 16 & 15);
	for (at = start - (unsigned long)start % line; at < start + size; at += line)
		asm volatile("dc civac, %0" : : "r"(at) : "memory");
	asm volatile("dsb sy" : : : "memory");
	line = (size_t)4 << (ctr & 15);
	for (at = start - (unsigned long)start % line; at < start + size; at += line)
		asm volatile("ic ivau, %0" : : "r"(at) : "memory");
	asm volatile("dsb ish\n\tisb" : : : "memory");
}
