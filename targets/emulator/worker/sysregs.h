// The system registers this machine has: encodings, reset values, rules for user space.
#pragma once

#include <array>
#include <cstdint>

namespace emu {

// op0:op1:CRn:CRm:op2, both the index of a ONE_REG id and bits 20:5 of MRS and MSR.
constexpr uint16_t Encode(int op0, int op1, int crn, int crm, int op2) {
  return static_cast<uint16_t>(op0 << 14 | op1 << 11 | crn << 7 | crm << 3 | op2);
}

// Registers that hold one value per vcpu, in the order of their encodings.
enum SysReg : uint8_t {
  MDSCR_EL1,
  MPIDR_EL1,
  SCTLR_EL1,
  ACTLR_EL1,
  CPACR_EL1,
  ZCR_EL1,
  TTBR0_EL1,
  TTBR1_EL1,
  TCR_EL1,
  AFSR0_EL1,
  AFSR1_EL1,
  ESR_EL1,
  FAR_EL1,
  PAR_EL1,
  MAIR_EL1,
  AMAIR_EL1,
  VBAR_EL1,
  CONTEXTIDR_EL1,
  TPIDR_EL1,
  CNTKCTL_EL1,
  CSSELR_EL1,
  TPIDR_EL0,
  TPIDRRO_EL0,
  kSysRegCount,
};

// What EL0 may do with a register.
enum class El0 : uint8_t { kNone, kRead, kReadWrite };

struct SysRegInfo {
  uint16_t encoding;
  uint64_t reset;
  uint64_t guest_mask;  // bits that a guest's MSR can set
  El0 el0;
  bool guest_writable;
};

extern const std::array<SysRegInfo, kSysRegCount> kSysRegs;

// The register with this encoding, or kSysRegCount.
SysReg FindSysReg(uint16_t encoding);

// Identification registers: op0 3, op1 0, CRn 0, CRm 1..7; one value per VM. Encodings
// without a meaning here read as zero.
constexpr int kIdRegCount = 7 * 8;
constexpr uint16_t kIdRegBase = Encode(3, 0, 0, 1, 0);
constexpr bool IsIdReg(uint16_t encoding) {
  return encoding >= kIdRegBase && encoding < kIdRegBase + kIdRegCount;
}

struct IdRegInfo {
  const char* name;
  uint16_t encoding;
  uint64_t value;
  uint64_t sve_value;  // or-ed in for vcpus with SVE
  uint64_t lowerable;  // 4-bit fields that user space may lower before the VM first runs
};

constexpr int kNamedIdRegs = 13;
extern const std::array<IdRegInfo, kNamedIdRegs> kIdRegs;

// What the machine reports for an identification register of a VM with or without SVE.
uint64_t IdRegLimit(uint16_t encoding, bool sve);

// Whether user space may set the register to `value`, given its limit.
bool IdRegAllows(uint16_t encoding, uint64_t value, bool sve);

// Registers that never change; user space may only write back what they hold.
struct ConstReg {
  uint16_t encoding;
  uint64_t value;
  bool el0;
  bool listed;  // has a ONE_REG id
};

constexpr int kConstRegCount = 7;
extern const std::array<ConstReg, kConstRegCount> kConstRegs;
const ConstReg* FindConstReg(uint16_t encoding);

// Registers that live elsewhere in the vcpu and have encodings of their own.
constexpr uint16_t kSpsrEl1 = Encode(3, 0, 4, 0, 0);
constexpr uint16_t kElrEl1 = Encode(3, 0, 4, 0, 1);
constexpr uint16_t kSpEl0 = Encode(3, 0, 4, 1, 0);
constexpr uint16_t kSpSel = Encode(3, 0, 4, 2, 0);
constexpr uint16_t kCurrentEl = Encode(3, 0, 4, 2, 2);
constexpr uint16_t kNzcv = Encode(3, 3, 4, 2, 0);
constexpr uint16_t kDaif = Encode(3, 3, 4, 2, 1);
constexpr uint16_t kFpcr = Encode(3, 3, 4, 4, 0);
constexpr uint16_t kFpsr = Encode(3, 3, 4, 4, 1);
constexpr uint16_t kCntfrq = Encode(3, 3, 14, 0, 0);
constexpr uint16_t kCntpct = Encode(3, 3, 14, 0, 1);
constexpr uint16_t kCntvct = Encode(3, 3, 14, 0, 2);
constexpr uint16_t kCntvTval = Encode(3, 3, 14, 3, 0);
constexpr uint16_t kCntvCtl = Encode(3, 3, 14, 3, 1);
constexpr uint64_t kTimerEnable = 1, kTimerMask = 2, kTimerStatus = 4;

// Bits that this machine implements (facts 2.1, 2.6): no AArch32, no FEAT_AFP, no FEAT_EBF16,
// no trapped floating-point exceptions; FEAT_FP16 is there.
constexpr uint64_t kZcrMask = 0xf;
constexpr uint32_t kFpcrMask = 0x07c80000;
constexpr uint32_t kFpsrMask = 0x0800009f;

constexpr uint64_t kSctlrM = 1;
constexpr uint64_t kSctlrA = 1 << 1;
constexpr uint64_t kSctlrSa = 1 << 3;
constexpr uint64_t kSctlrSa0 = 1 << 4;
constexpr uint64_t kSctlrUma = 1 << 9;
constexpr uint64_t kSctlrDze = 1 << 14;
constexpr uint64_t kSctlrUct = 1 << 15;
constexpr uint64_t kSctlrEe = 1 << 25;
constexpr uint64_t kSctlrUci = 1 << 26;

}  // namespace emu
