
static bool offers_gic(void)
{
	struct kvm_create_device device = {
		.type = KVM_DEV_TYPE_ARM_VGIC_V3, .flags = KVM_CREATE_DEVICE_TEST,
	};
	int other = create_vm();
	bool offered = !call(other, KVM_CREATE_DEVICE, &device);

	close(other);
	return offered;
}
