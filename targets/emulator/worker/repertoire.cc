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

}  // namespace

Repertoire::Repertoire() : auditor_(&decoder_, Features()) { decoder_.AppendVisitor(this); }

bool Repertoire::Knows(const vixl::aarch64::Instruction* instruction) {
  allocated_ = true;
  decoder_.Decode(instruction);
  return allocated_ && auditor_.InstructionIsAvailable();
}

}  // namespace emu
