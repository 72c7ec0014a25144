
#define CORE(size, member) (KVM_REG_ARM64 | KVM_REG_SIZE_##size | KVM_REG_ARM_CORE | \
			    KVM_REG_ARM_CORE_REG(member))
#define X(n) CORE(U64, regs.regs[n])
#define V(n) CORE(U128, fp_regs.vregs[n])
#define Z(n) KVM_REG_ARM64_SVE_ZREG(n, 0)
#define P(n) KVM_REG_ARM64_SVE_PREG(n, 0)
#define FFR KVM_REG_ARM64_SVE_FFR(0)

/* INIT's features: all seven words of them, and a bit of the first. */
#define FEATURES(...) ((const __u32[7]){ __VA_ARGS__ })
#define HAS(name) (1u << KVM_ARM_VCPU_##name)
