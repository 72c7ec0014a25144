// Which instructions this machine has.
#pragma once

#include <vixl/aarch64/cpu-features-auditor-aarch64.h>
#include <vixl/aarch64/decoder-aarch64.h>

namespace emu {

// Decodes without executing. What is not known here is undefined before any trap is looked at.
class Repertoire : public vixl::aarch64::DecoderVisitorWithDefaults {
 public:
  Repertoire();

  bool Knows(const vixl::aarch64::Instruction* instruction);

  void VisitUnallocated(const vixl::aarch64::Instruction*) override { allocated_ = false; }
  void VisitUnimplemented(const vixl::aarch64::Instruction*) override { allocated_ = false; }
  void VisitReserved(const vixl::aarch64::Instruction*) override { allocated_ = false; }

 private:
  vixl::aarch64::Decoder decoder_;
  vixl::aarch64::CPUFeaturesAuditor auditor_;
  bool allocated_ = true;
};

}  // namespace emu
