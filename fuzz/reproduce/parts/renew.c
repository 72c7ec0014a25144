
/* A VM of a type of its own, in place of the one that there is. */
static int renew_vm(unsigned long type)
{
	unsigned int n;
	int fd;

	for (n = 0; n < sizeof(vcpus) / sizeof(vcpus[0]); n++)
		if (vcpus[n].fd >= 0)
			return EEXIST;
	fd = vm_of_type(type);
	if (fd < 0)
		return errno;
	close(vm);
	vm = fd;
	give_ram();
	return 0;
}
