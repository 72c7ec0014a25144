
/* A field of four bits of an ID register. */
static unsigned int field(__u64 id, unsigned int shift)
{
	return host_reg(id) >> shift & 15;
}
