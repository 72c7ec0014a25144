#include "probe.h"

#include <cinttypes>
#include <cstdio>

#include "sysregs.h"

namespace emu {

std::string ProbeText(const Host& host) {
  std::string vqs;
  for (int vq = 1; vq <= kMaxVq; vq++) {
    if (host.Has(vq)) vqs += (vqs.empty() ? "" : ",") + std::to_string(vq);
  }
  std::string text = "release=emulator\nmode=emulator\n";
  text += std::string("tail=") + (host.zero_tails ? "zero" : "keep") + "\n";
  text += "vqs=" + vqs + "\n";
  text +=
      "cap.sve=1\ncap.el1_32bit=0\ncap.pmu_v3=0\ncap.ptrauth_address=0\n"
      "cap.ptrauth_generic=0\ncap.el2=0\n"
      "cap.mp_state=1\ncap.psci_0_2=1\nipa_bits=40\npreferred_target=5\n"
      "unaligned=1\nstage1=1\nmte=0\ngic=0\n";
  char line[64];
  std::snprintf(line, sizeof(line), "fpcr_bits=%#x\nfpsr_bits=%#x\n", kFpcrMask,
                kFpsrMask);
  text += line;
  for (const IdRegInfo& reg : kIdRegs) {
    std::snprintf(line, sizeof(line), "%s=%#" PRIx64 "\n", reg.name,
                  IdRegLimit(reg.encoding, true));
    text += line;
  }
  text += "step_limit=" + std::to_string(host.step_limit) + "\n";
  return text;
}

}  // namespace emu
