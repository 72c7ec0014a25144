
static int gic = -1;

static int set_gic(__u32 group, __u64 attr, __u64 value)
{
	struct kvm_device_attr what = {
		.group = group, .attr = attr, .addr = (unsigned long)&value,
	};

	return call(gic, KVM_SET_DEVICE_ATTR, &what);
}

/* Below RAM, and ready: no vcpu can be created behind that. */
static int create_gic(void)
{
	struct kvm_create_device device = { .type = KVM_DEV_TYPE_ARM_VGIC_V3 };
	int err = call(vm, KVM_CREATE_DEVICE, &device);

	if (err)
		return err;
	gic = (int)device.fd;
	err = set_gic(KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V3_ADDR_TYPE_DIST, 0x08000000);
	if (!err)
		err = set_gic(KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V3_ADDR_TYPE_REDIST, 0x080a0000);
	if (!err)
		err = set_gic(KVM_DEV_ARM_VGIC_GRP_CTRL, KVM_DEV_ARM_VGIC_CTRL_INIT, 0);
	return err;
}
