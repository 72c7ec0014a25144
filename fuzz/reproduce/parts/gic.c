
static void set_gic(__u32 group, __u64 attr, __u64 value)
{
	struct kvm_device_attr what = {
		.group = group, .attr = attr, .addr = (unsigned long)&value,
	};

	call(gic, KVM_SET_DEVICE_ATTR, &what); /* KVM_RUN will tell */
}

/*
 * Vcpus with EL2 do not run without an interrupt controller, and behind that no vcpu can be
 * created: those that the test wants later are made here.
 */
static void prepare_el2(void)
{
	struct kvm_create_device device = { .type = KVM_DEV_TYPE_ARM_VGIC_V3 };

	if (!has_el2 || gic >= 0)
		return;
	for (size_t at = 0; at < RAM_SIZE; at += 0x1000) {
		volatile unsigned char *byte = ram + at;

		*byte = *byte; /* a page of its own, so that nothing is remapped in a run */
	}
	for (unsigned int n = 0; n < 3; n++)
		if (vcpus[n].fd < 0)
			spares[n] = ioctl(vm, KVM_CREATE_VCPU, n);
	if (call(vm, KVM_CREATE_DEVICE, &device))
		return; /* KVM_RUN will tell */
	gic = (int)device.fd;
	set_gic(KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V3_ADDR_TYPE_DIST, 0x08000000);
	set_gic(KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V3_ADDR_TYPE_REDIST, 0x080a0000);
	set_gic(KVM_DEV_ARM_VGIC_GRP_CTRL, KVM_DEV_ARM_VGIC_CTRL_INIT, 0);
}
