#include "sysregs.h"

#include <algorithm>

namespace emu {
namespace {

constexpr uint64_t kAll = ~uint64_t{0};
// KVM's reset values: SCTLR_EL1's, and the pattern it gives registers whose reset is UNKNOWN.
constexpr uint64_t kSctlrReset = 0x00c50078;
constexpr uint64_t kUnknown = 0x1de7ec7edbadc0de;

}  // namespace

const std::array<SysRegInfo, kSysRegCount> kSysRegs = {{
    {Encode(2, 0, 0, 2, 2), 0, 0xffffffff, El0::kNone, true},         // MDSCR_EL1
    {Encode(3, 0, 0, 0, 5), 0, 0, El0::kNone, false},                 // MPIDR_EL1
    {Encode(3, 0, 1, 0, 0), kSctlrReset, kAll, El0::kNone, true},     // SCTLR_EL1
    {Encode(3, 0, 1, 0, 1), 0, 0, El0::kNone, true},                  // ACTLR_EL1
    {Encode(3, 0, 1, 0, 2), 0, 0x10330000, El0::kNone, true},         // CPACR_EL1
    {Encode(3, 0, 1, 2, 0), 0, kZcrMask, El0::kNone, true},           // ZCR_EL1
    {Encode(3, 0, 2, 0, 0), kUnknown, kAll, El0::kNone, true},        // TTBR0_EL1
    {Encode(3, 0, 2, 0, 1), kUnknown, kAll, El0::kNone, true},        // TTBR1_EL1
    {Encode(3, 0, 2, 0, 2), 0, kAll, El0::kNone, true},               // TCR_EL1
    {Encode(3, 0, 5, 1, 0), kUnknown, 0, El0::kNone, true},           // AFSR0_EL1
    {Encode(3, 0, 5, 1, 1), kUnknown, 0, El0::kNone, true},           // AFSR1_EL1
    {Encode(3, 0, 5, 2, 0), kUnknown, kAll, El0::kNone, true},        // ESR_EL1
    {Encode(3, 0, 6, 0, 0), kUnknown, kAll, El0::kNone, true},        // FAR_EL1
    {Encode(3, 0, 7, 4, 0), kUnknown, kAll, El0::kNone, true},        // PAR_EL1
    {Encode(3, 0, 10, 2, 0), kUnknown, kAll, El0::kNone, true},       // MAIR_EL1
    {Encode(3, 0, 10, 3, 0), 0, 0, El0::kNone, true},                 // AMAIR_EL1
    {Encode(3, 0, 12, 0, 0), 0, ~uint64_t{0x7ff}, El0::kNone, true},  // VBAR_EL1
    {Encode(3, 0, 13, 0, 1), 0, 0xffffffff, El0::kNone, true},        // CONTEXTIDR_EL1
    {Encode(3, 0, 13, 0, 4), kUnknown, kAll, El0::kNone, true},       // TPIDR_EL1
    {Encode(3, 0, 14, 1, 0), 0, 0x3ff, El0::kNone, true},             // CNTKCTL_EL1
    {Encode(3, 2, 0, 0, 0), kUnknown, 0xf, El0::kNone, true},         // CSSELR_EL1
    {Encode(3, 3, 13, 0, 2), kUnknown, kAll, El0::kReadWrite, true},  // TPIDR_EL0
    {Encode(3, 3, 13, 0, 3), kUnknown, kAll, El0::kRead, true},       // TPIDRRO_EL0
}};

SysReg FindSysReg(uint16_t encoding) {
  for (int i = 0; i < kSysRegCount; i++) {
    if (kSysRegs[i].encoding == encoding) return static_cast<SysReg>(i);
  }
  return kSysRegCount;
}

// What VIXL 5.1.0 simulates (repertoire.cc): FP16, CRC32, LSE, RDM, DotProd, FHM, FlagM2,
// JSCVT, FCMA, LRCPC2, FRINTTS and plain SVE; AArch64 only.
const std::array<IdRegInfo, kNamedIdRegs> kIdRegs = {{
    {"id_aa64pfr0", Encode(3, 0, 0, 4, 0), 0x0000000000110011, uint64_t{1} << 32,
     0xff0f00f00f00ffff},
    {"id_aa64pfr1", Encode(3, 0, 0, 4, 1), 0, 0, 0},
    {"id_aa64pfr2", Encode(3, 0, 0, 4, 2), 0, 0, 0},
    {"id_aa64zfr0", Encode(3, 0, 0, 4, 4), 0, 0, kAll},
    {"id_aa64smfr0", Encode(3, 0, 0, 4, 5), 0, 0, 0},
    {"id_aa64dfr0", Encode(3, 0, 0, 5, 0), 0x0000000000000006, 0, 0},
    {"id_aa64isar0", Encode(3, 0, 0, 6, 0), 0x0021100010210000, 0, kAll},
    {"id_aa64isar1", Encode(3, 0, 0, 6, 1), 0x0000000100211001, 0, 0xffffffff00fff00f},
    {"id_aa64isar2", Encode(3, 0, 0, 6, 2), 0, 0, 0},
    {"id_aa64mmfr0", Encode(3, 0, 0, 7, 0), 0x0000000000001125, 0, 0xf},
    {"id_aa64mmfr1", Encode(3, 0, 0, 7, 1), 0, 0, 0},
    {"id_aa64mmfr2", Encode(3, 0, 0, 7, 2), 0, 0, 0},
    {"id_aa64mmfr3", Encode(3, 0, 0, 7, 3), 0, 0, 0},
}};

namespace {

const IdRegInfo* FindIdReg(uint16_t encoding) {
  const auto* row = std::find_if(kIdRegs.begin(), kIdRegs.end(), [encoding](const auto& r) {
    return r.encoding == encoding;
  });
  return row == kIdRegs.end() ? nullptr : row;
}

}  // namespace

uint64_t IdRegLimit(uint16_t encoding, bool sve) {
  const IdRegInfo* row = FindIdReg(encoding);
  if (row == nullptr) return 0;
  return row->value | (sve ? row->sve_value : 0);
}

bool IdRegAllows(uint16_t encoding, uint64_t value, bool sve) {
  const IdRegInfo* row = FindIdReg(encoding);
  const uint64_t limit = IdRegLimit(encoding, sve);
  for (int shift = 0; shift < 64; shift += 4) {
    const uint64_t field = value >> shift & 0xf;
    const uint64_t most = limit >> shift & 0xf;
    const bool lowerable = row != nullptr && (row->lowerable >> shift & 0xf) == 0xf;
    if (lowerable ? field > most : field != most) return false;
  }
  return true;
}

const std::array<ConstReg, kConstRegCount> kConstRegs = {{
    {Encode(3, 0, 0, 0, 0), 0x000f0000, false, true},   // MIDR_EL1: architecture by ID registers
    {Encode(3, 0, 0, 0, 6), 0, false, true},            // REVIDR_EL1
    {Encode(3, 1, 0, 0, 1), 0x0a200023, false, true},   // CLIDR_EL1
    {Encode(3, 1, 0, 0, 7), 0, false, true},            // AIDR_EL1
    {Encode(3, 3, 0, 0, 1), 0x84448004, true, true},    // CTR_EL0
    {Encode(3, 3, 0, 0, 7), 4, true, false},            // DCZID_EL0: blocks of 64 bytes
    {kCntfrq, 62500000, true, false},
}};

const ConstReg* FindConstReg(uint16_t encoding) {
  const auto* row = std::find_if(kConstRegs.begin(), kConstRegs.end(), [encoding](const auto& r) {
    return r.encoding == encoding;
  });
  return row == kConstRegs.end() ? nullptr : row;
}

}  // namespace emu
