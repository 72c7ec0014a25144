// The machine that this emulator pretends to be, as chosen on the command line.
#pragma once

#include <cstdint>

namespace emu {

constexpr int kMaxVq = 16;               // architecture: at most 2048 bits
constexpr int kMaxVlBytes = 16 * kMaxVq;
constexpr int kMaxPlBytes = kMaxVlBytes / 8;

constexpr int kIpaBits = 40;  // the default KVM VM
constexpr int kPaBits = 48;   // ID_AA64MMFR0_EL1.PARange below

struct Host {
  uint32_t vqs = 0xffff;          // bit vq - 1 set: vector length 128 * vq is available
  bool zero_tails = false;        // clear bits above the effective VL wherever that is permitted
  uint64_t step_limit = 100000;   // instructions that stand for the run's time limit

  bool Has(int vq) const { return vq >= 1 && vq <= kMaxVq && (vqs >> (vq - 1) & 1) != 0; }

  // The largest available vq that is not above `vq`; 128 bits are always there.
  int RoundDown(int vq) const {
    while (vq > 1 && !Has(vq)) vq--;
    return vq;
  }

  int MaxVq() const { return RoundDown(kMaxVq); }
};

}  // namespace emu
