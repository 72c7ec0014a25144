
/*
 * Vcpus with EL2 do not run without an interrupt controller, and behind that no vcpu can be
 * created: those that the test wants later are made here.
 */
static void prepare_el2(void)
{
	if (!has_el2 || gic >= 0)
		return;
	for (size_t at = 0; at < RAM_SIZE; at += 0x1000) {
		volatile unsigned char *byte = ram + at;

		*byte = *byte; /* a page of its own, so that nothing is remapped in a run */
	}
	for (unsigned int n = 0; n < 3; n++)
		if (vcpus[n].fd < 0)
			spares[n] = ioctl(vm, KVM_CREATE_VCPU, n);
	create_gic(); /* KVM_RUN will tell */
}
