// MRS, MSR, hints, barriers and cache maintenance.
#include "cpu.h"
#include "pstate.h"

namespace emu {
namespace {

constexpr uint64_t kTrapSystem = 0x62000000;  // EC 0x18, IL

// ISS of a trapped MSR, MRS or system instruction.
uint64_t SystemIss(uint32_t word) {
  const uint64_t op0 = word >> 19 & 3, op1 = word >> 16 & 7, crn = word >> 12 & 15;
  const uint64_t crm = word >> 8 & 15, op2 = word >> 5 & 7, rt = word & 31;
  return op0 << 20 | op2 << 17 | op1 << 14 | crn << 10 | rt << 5 | crm << 1 | (word >> 21 & 1);
}

}  // namespace

void Cpu::SystemInstruction(uint32_t word) {
  const bool read = (word >> 21 & 1) != 0;
  const uint16_t encoding = word >> 5 & 0xffff;
  const unsigned op0 = word >> 19 & 3;
  if (op0 >= 2) {
    word_now_ = word;
    return read ? ReadSystemReg(encoding, word & 31) : WriteSystemReg(encoding, word & 31);
  }
  if (op0 == 1) return read ? TakeUndefined() : Maintenance(word);
  const unsigned crn = word >> 12 & 15;
  const bool no_operand = !read && (word & 31) == 31;
  if (!no_operand) return TakeUndefined();
  if (crn == 4) return SetPstateField(word);
  if (crn == 2 && (word >> 16 & 7) == 3) return Hint(word);
  const unsigned op2 = word >> 5 & 7;
  const bool barrier = crn == 3 && (word >> 16 & 7) == 3 && (op2 == 2 || (op2 >= 4 && op2 <= 6));
  if (!barrier) return TakeUndefined();
  if (op2 == 2) local_monitor_.Clear();  // CLREX
}

void Cpu::TrapSystem() { TakeException(kTrapSystem | SystemIss(word_now_), pc_now_); }

void Cpu::SetPstateField(uint32_t word) {
  word_now_ = word;
  const unsigned op1 = word >> 16 & 7, op2 = word >> 5 & 7;
  const uint64_t imm = word >> 8 & 15;
  if (op1 == 0 && op2 <= 2) {  // CFINV, XAFLAG, AXFLAG
    if (imm != 0 || !DecodeAndExecute()) TakeUndefined();
    return;
  }
  if (op1 == 0 && op2 == 5) {  // SPSel
    if (El() == 0) return TakeUndefined();
    return WriteSpSel(imm);
  }
  if (op1 == 3 && (op2 == 6 || op2 == 7)) {  // DAIFSet, DAIFClr
    if (El() == 0 && (vcpu_.sysregs[SCTLR_EL1] & kSctlrUma) == 0) return TrapSystem();
    pstate_ = op2 == 6 ? pstate_ | imm << 6 : pstate_ & ~(imm << 6);
    return;
  }
  TakeUndefined();  // PAN, UAO, SSBS, DIT, TCO, SVCR: features this machine lacks
}

void Cpu::WriteSpSel(uint64_t value) {
  BankSp();
  SetPstate((Pstate() & ~uint64_t{1}) | (value & 1));
}

void Cpu::Hint(uint32_t word) {
  if ((word >> 5 & 0x7f) != 3) return;  // everything but WFI does nothing here
  RunOutOfTime();  // no interrupt will ever come
}

void Cpu::Maintenance(uint32_t word) {
  word_now_ = word;
  const unsigned op1 = word >> 16 & 7, crn = word >> 12 & 15, crm = word >> 8 & 15;
  const unsigned op2 = word >> 5 & 7;
  const bool el0_form = op1 == 3 && crn == 7;
  if (el0_form && crm == 4 && op2 == 1) {
    if (El() == 0 && (vcpu_.sysregs[SCTLR_EL1] & kSctlrDze) == 0) return TrapSystem();
    return ZeroBlock(X(word & 31) & ~uint64_t{63});
  }
  if (El() == 0) {
    if (!el0_form) return TakeUndefined();
    if ((vcpu_.sysregs[SCTLR_EL1] & kSctlrUci) == 0) return TrapSystem();
  }
  // There are no caches and no TLBs: whatever they are told changes nothing.
  const bool known = crn == 8 || (crn == 7 && (crm == 1 || crm == 4 || crm == 5 || crm == 6 ||
                                               crm == 8 || crm == 10 || crm == 11 || crm == 12 ||
                                               crm == 14));
  if (!known) TakeUndefined();
}

// Registers whose value is part of the processor state.
bool Cpu::ReadSpecial(uint16_t encoding, uint64_t* value) {
  const CoreRegs& core = vcpu_.core;
  switch (encoding) {
    case kNzcv:
      *value = Pstate() & kNzcvMask;
      return true;
    case kDaif:
      *value = pstate_ & kDaifMask;
      return true;
    case kCurrentEl:
      *value = El() << 2;
      return true;
    case kSpSel:
      *value = pstate_ & 1;
      return true;
    case kSpEl0:
      *value = core.sp_el0;
      return (pstate_ & 1) != 0;  // undefined while it is SP itself
    case kSpsrEl1:
      *value = core.spsr[0];
      return true;
    case kElrEl1:
      *value = core.elr_el1;
      return true;
    case kCntpct:
    case kCntvct:
      *value = steps_;
      return true;
    case kCntvCtl:
      *value = timer_ | ((timer_ & kTimerEnable) != 0 ? kTimerStatus : 0);
      return true;
    default:
      return false;
  }
}

bool Cpu::WriteSpecial(uint16_t encoding, uint64_t value) {
  CoreRegs& core = vcpu_.core;
  switch (encoding) {
    case kNzcv:
      ReadNzcv().SetRawValue(static_cast<uint32_t>(value & kNzcvMask));
      return true;
    case kDaif:
      pstate_ = (pstate_ & ~kDaifMask) | (value & kDaifMask);
      return true;
    case kSpSel:
      WriteSpSel(value);
      return true;
    case kSpEl0:
      if ((pstate_ & 1) == 0) return false;
      core.sp_el0 = value;
      return true;
    case kSpsrEl1:
      core.spsr[0] = value & 0xffffffff;
      return true;
    case kElrEl1:
      core.elr_el1 = value;
      return true;
    case kCntvCtl:
      timer_ = value & (kTimerEnable | kTimerMask);
      return true;
    case kCntvTval:
      return true;
    default:
      return false;
  }
}

// What EL0 may touch; the rest of an access from EL0 has been dealt with when this is false.
bool Cpu::AccessibleFromEl0(uint16_t encoding, bool read) {
  if (El() != 0 || encoding == kNzcv) return true;
  if (encoding == kFpcr || encoding == kFpsr) return true;
  const uint64_t sctlr = vcpu_.sysregs[SCTLR_EL1];
  const uint64_t timer = vcpu_.sysregs[CNTKCTL_EL1];
  bool trapped = false;
  if (encoding == kDaif) {
    trapped = (sctlr & kSctlrUma) == 0;
  } else if (encoding == kCntfrq && read) {
    trapped = (timer & 3) == 0;
  } else if (encoding == kCntvCtl || encoding == kCntvTval) {
    trapped = (timer & 0x200) == 0;
  } else if (encoding == kCntvct && read) {
    trapped = (timer & 2) == 0;
  } else if (encoding == kCntpct && read) {
    trapped = (timer & 1) == 0;
  } else if (const ConstReg* row = FindConstReg(encoding); row != nullptr && row->el0 && read) {
    trapped = row->listed && (sctlr & kSctlrUct) == 0;  // CTR_EL0
  } else {
    const SysReg reg = FindSysReg(encoding);
    const El0 access = reg == kSysRegCount ? El0::kNone : kSysRegs[reg].el0;
    if (access == El0::kReadWrite || (access == El0::kRead && read)) return true;
    TakeUndefined();
    return false;
  }
  if (trapped) TrapSystem();
  return !trapped;
}

void Cpu::ReadSystemReg(uint16_t encoding, unsigned rt) {
  if (!AccessibleFromEl0(encoding, true)) return;
  uint64_t value = 0;
  if (encoding == kFpcr || encoding == kFpsr) {
    if (!EnterFp()) return;
    value = encoding == kFpcr ? vcpu_.core.fpcr : vcpu_.core.fpsr;
  } else if (encoding == kSysRegs[ZCR_EL1].encoding) {
    if (!EnterSve()) return;
    value = vcpu_.sysregs[ZCR_EL1];
  } else if (IsIdReg(encoding)) {
    value = vcpu_.vm().ReadIdReg(encoding);
  } else if (const ConstReg* row = FindConstReg(encoding)) {
    value = row->value;
  } else if (const SysReg reg = FindSysReg(encoding); reg != kSysRegCount) {
    value = vcpu_.sysregs[reg];
  } else if (!ReadSpecial(encoding, &value)) {
    return TakeUndefined();
  }
  if (rt != 31) SetX(rt, value);
}

void Cpu::WriteSystemReg(uint16_t encoding, unsigned rt) {
  if (!AccessibleFromEl0(encoding, false)) return;
  const uint64_t value = rt == 31 ? 0 : X(rt);
  if (encoding == kFpcr || encoding == kFpsr) {
    if (!EnterFp()) return;
    if (encoding == kFpsr) {
      vcpu_.core.fpsr = static_cast<uint32_t>(value) & kFpsrMask;
      return;
    }
    vcpu_.core.fpcr = static_cast<uint32_t>(value) & kFpcrMask;
    return ReadFpcr().SetRawValue(vcpu_.core.fpcr);
  }
  if (encoding == kSysRegs[ZCR_EL1].encoding) {
    if (EnterSve()) WriteZcr(value);
    return;
  }
  const SysReg reg = FindSysReg(encoding);
  if (reg != kSysRegCount) {
    if (!kSysRegs[reg].guest_writable) return TakeUndefined();
    vcpu_.sysregs[reg] = value & kSysRegs[reg].guest_mask;
    return;
  }
  if (!WriteSpecial(encoding, value)) TakeUndefined();
}

}  // namespace emu
