// The AArch64 exception model for EL1 and EL0, and the calls KVM answers itself.
#include "cpu.h"
#include "pstate.h"

namespace emu {
namespace {

constexpr unsigned kSp = vixl::aarch64::kSPRegInternalCode;

constexpr uint32_t kSmcccVersion = 0x80000000;
constexpr uint32_t kPsciVersion = 0x84000000;
constexpr uint32_t kPsciCpuOff = 0x84000002;
constexpr uint32_t kPsciSystemOff = 0x84000008;
constexpr uint32_t kPsciSystemReset = 0x84000009;
constexpr uint32_t kPsci01CpuOff = 0x95c1ba5f;  // of a vcpu without the PSCI_0_2 feature
constexpr uint64_t kNotSupported = ~uint64_t{0};
constexpr uint64_t kInternalFailure = static_cast<uint64_t>(-6);

}  // namespace

uint64_t Cpu::Pstate() { return pstate_ | (ReadNzcv().GetRawValue() & kNzcvMask); }

// The caller has put SP into its bank.
void Cpu::SetPstate(uint64_t value) {
  pstate_ = value & ~kNzcvMask;
  ReadNzcv().SetRawValue(static_cast<uint32_t>(value & kNzcvMask));
  SetX(kSp, (pstate_ & 1) != 0 ? vcpu_.core.sp_el1 : vcpu_.core.sp_el0);
}

void Cpu::BankSp() { ((pstate_ & 1) != 0 ? vcpu_.core.sp_el1 : vcpu_.core.sp_el0) = X(kSp); }

void Cpu::TakeException(uint64_t esr, uint64_t preferred_return) {
  const bool from_el0 = El() == 0;
  const uint64_t vector = from_el0 ? 0x400 : (pstate_ & 1) != 0 ? 0x200 : 0;
  if (from_el0 && fp_loaded_ && host_.zero_tails && FpEnabled()) {
    CopyOutVectors();
    ClearTails(SveEnabled() ? EffectiveVq() : 1);
    vq_ = 0;
  }
  CoreRegs& core = vcpu_.core;
  core.elr_el1 = preferred_return;
  core.spsr[0] = Pstate();
  vcpu_.sysregs[ESR_EL1] = esr;
  BankSp();
  SetPstate((core.spsr[0] & kNzcvMask) | kDaifMask | kModeEl1h);
  pc_next_ = (vcpu_.sysregs[VBAR_EL1] & ~uint64_t{0x7ff}) + vector;
}

// `esr` as for a fault from EL1; aborts from EL0 have the next lower class.
void Cpu::TakeFault(uint64_t esr, uint64_t address) {
  const uint64_t ec = esr >> 26;
  if (El() == 0 && (ec == 0x21 || ec == 0x25)) esr -= uint64_t{1} << 26;
  vcpu_.sysregs[FAR_EL1] = address;
  TakeException(esr, pc_now_);
}

void Cpu::ExceptionReturn() {
  if (El() == 0) return TakeUndefined();
  const uint64_t spsr = vcpu_.core.spsr[0] & kPstateMask;
  const uint64_t mode = spsr & kModeMask;
  BankSp();
  if (mode == kModeEl0t || mode == kModeEl1t || mode == kModeEl1h) {
    SetPstate(spsr);
  } else {
    SetPstate((spsr & ~kModeMask) | kIllegal | (pstate_ & kModeMask));
  }
  pc_next_ = vcpu_.core.elr_el1;
}

void Cpu::ExceptionInstruction(uint32_t word) {
  const uint64_t imm = word >> 5 & 0xffff;
  switch (word & 0xffe0001f) {
    case 0xd4000001:  // SVC
      return TakeException(0x56000000 | imm, pc_now_ + 4);
    case 0xd4200000:  // BRK
      return TakeException(0xf2000000 | imm, pc_now_);
    case 0xd4000002:  // HVC
    case 0xd4000003:  // SMC
      return El() == 0 ? TakeUndefined() : CallFirmware();
    default:  // HLT without an external debugger, DCPS outside debug state, unallocated
      return TakeUndefined();
  }
}

// SMCCC and PSCI as far as a lone vcpu can tell.
void Cpu::CallFirmware() {
  const auto function = static_cast<uint32_t>(X(0));
  uint64_t result = kNotSupported;
  if (function == kSmcccVersion) {
    result = 0x10001;
  } else if (vcpu_.HasPsci02() && function == kPsciVersion) {
    result = 0x10001;
  } else if (function == (vcpu_.HasPsci02() ? kPsciCpuOff : kPsci01CpuOff)) {
    vcpu_.SetMpState(kMpStopped);
    result = 0;
    RunOutOfTime();
  } else if (vcpu_.HasPsci02() &&
             (function == kPsciSystemOff || function == kPsciSystemReset)) {
    for (auto& vcpu : vcpu_.vm().vcpus) {
      if (vcpu) vcpu->SetMpState(kMpStopped);
    }
    result = kInternalFailure;  // should user space run it again
    exit_->reason = kExitSystemEvent;
    FinishWith(0);
  }
  SetX(0, result);
  for (unsigned i = 1; i < 4; i++) SetX(i, 0);
}

}  // namespace emu
