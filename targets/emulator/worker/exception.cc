// The AArch64 exception model for EL1 and EL0.
#include "cpu.h"
#include "pstate.h"

namespace emu {
namespace {

constexpr unsigned kSp = vixl::aarch64::kSPRegInternalCode;

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
  if (from_el0) ClearTailsOnException();
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

// Without a syndrome: ISS is all zeros.
void Cpu::TakeSError() {
  constexpr uint64_t kVector = 0x180;
  vcpu_.serror_pending = false;
  TakeException(0xbe000000, pc_now_);
  pc_next_ += kVector;
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
    case 0xd4000002:  // HVC, whatever its immediate
      return El() == 0 ? TakeUndefined() : CallFirmware();
    case 0xd4000003:  // SMC
      if (El() == 0) return TakeUndefined();
      return imm == 0 ? CallFirmware() : SetX(0, ~uint64_t{0});
    default:  // HLT without an external debugger, DCPS outside debug state, unallocated
      return TakeUndefined();
  }
}

}  // namespace emu
