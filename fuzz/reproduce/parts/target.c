
static int preferred_target(void)
{
	struct kvm_vcpu_init init = { 0 };
	int err = call(vm, KVM_ARM_PREFERRED_TARGET, &init);

	seen->size = err ? 0 : sizeof(init);
	memcpy(seen->data, &init, seen->size);
	return err;
}
