
/* The host's vector lengths in units of 128 bits, as a bitmap from 1 up. */
static __u64 lengths(void)
{
	return offers(KVM_CAP_ARM_SVE) ? host_reg(KVM_REG_ARM64_SVE_VLS) : 0;
}
