#include "repertoire.h"

namespace emu {

using vixl::CPUFeatures;

namespace {

// In step with the ID registers in sysregs.cc. VIXL 5.1.0 decodes some of the features left
// out, but does not simulate them, or does so with keys and tags no guest can set.
CPUFeatures Features() {
  CPUFeatures features;
  features.Combine(CPUFeatures::kFP, CPUFeatures::kNEON, CPUFeatures::kFPHalf,
                   CPUFeatures::kNEONHalf);
  features.Combine(CPUFeatures::kCRC32, CPUFeatures::kAtomics, CPUFeatures::kRDM,
                   CPUFeatures::kDotProduct);
  features.Combine(CPUFeatures::kFHM, CPUFeatures::kFlagM, CPUFeatures::kAXFlag,
                   CPUFeatures::kJSCVT);
  features.Combine(CPUFeatures::kFcma, CPUFeatures::kRCpc, CPUFeatures::kRCpcImm,
                   CPUFeatures::kFrintToFixedSizedInt);
  features.Combine(CPUFeatures::kSVE);
  return features;
}

struct Encoding {
  uint32_t mask, value;
};

// Encodings of other extensions that VIXL 5.1.0 takes for instructions of those above, mostly to
// do nothing at all.
constexpr Encoding kOthers[] = {
    {0xffe0e000, 0x05600000},  // EXT (constructive), SVE2
    {0xffe0e000, 0x05a00000},  // ZIP, UZP, TRN of quadwords, F64MM
    {0xfe60c000, 0xa4200000},  // LD1RO, F64MM
    {0xff20e400, 0x25200000},  // WHILEGE, WHILEGT, WHILEHS, WHILEHI, SVE2
    {0xff20f800, 0x04203800},  // EOR3, BCAX, BSL and its kin, SVE2
    {0xff20fc00, 0x04203400},  // XAR, SVE2
    {0xff3fe000, 0x04068000},  // SQSHL, SVE2
    {0xff3fe000, 0x04078000},  // UQSHL, SVE2
    {0xff3fe000, 0x040c8000},  // SRSHR, SVE2
    {0xff3fe000, 0x040d8000},  // URSHR, SVE2
    {0xff3fe000, 0x040f8000},  // SQSHLU, SVE2
    {0xfff9e000, 0x6518a000},  // FLOGB, SVE2
    {0xffffe000, 0x650aa000},  // FCVTX, SVE2
    {0xffffe000, 0x658aa000},  // BFCVT (vector), BF16
    {0xfffffc00, 0x1e634000},  // BFCVT (scalar), BF16
    {0xff3e0c00, 0x4e280800},  // AES
    {0xff208c00, 0x5e000000},  // SHA1, SHA256, three registers
    {0xff3e0c00, 0x5e280800},  // SHA1, SHA256, two registers
    {0xbfe0fc00, 0x0ee0e000},  // PMULL of doublewords
    {0xffe0f800, 0x9ac01000},  // IRG, GMI, MTE
};

bool IsOther(uint32_t word) {
  // Of this group SVE has SDOT and UDOT alone.
  if (word >> 24 == 0x44) return (word & 0x0080f800) != 0x00800000;
  for (const Encoding& encoding : kOthers) {
    if ((word & encoding.mask) == encoding.value) return true;
  }
  return false;
}

}  // namespace

Repertoire::Repertoire() : auditor_(&decoder_, Features()) { decoder_.AppendVisitor(this); }

bool Repertoire::Knows(const vixl::aarch64::Instruction* instruction) {
  if (IsOther(instruction->GetInstructionBits())) return false;
  allocated_ = true;
  decoder_.Decode(instruction);
  return allocated_ && auditor_.InstructionIsAvailable();
}

}  // namespace emu
