
static int create_vcpu(unsigned int n)
{
	struct vcpu *v = &vcpus[n];
	void *run;
	int fd;

{% if "el2" in parts %}
	if (gic >= 0 && v->fd >= 0)
		return EEXIST;
	fd = spares[n] >= 0 ? spares[n] : (int)ioctl(vm, KVM_CREATE_VCPU, n);
{% else %}
	fd = ioctl(vm, KVM_CREATE_VCPU, n);
{% endif %}
	if (fd < 0)
		return errno;
	run = mmap(NULL, run_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (run == MAP_FAILED)
		broken("mmap");
	v->fd = fd;
	v->run = run;
	return 0;
}
