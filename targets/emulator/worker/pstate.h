// PSTATE as SPSR lays it out.
#pragma once

#include <cstdint>

namespace emu {

constexpr uint64_t kModeMask = 0x1f;
constexpr uint64_t kModeEl0t = 0x0;
constexpr uint64_t kModeEl1t = 0x4;
constexpr uint64_t kModeEl1h = 0x5;
constexpr uint64_t kDaifMask = 0x3c0;
constexpr uint64_t kSErrorMask = 0x100;  // A
constexpr uint64_t kNzcvMask = 0xf0000000;
constexpr uint64_t kIllegal = 1 << 20;

// Bits that survive an exception return: no PAN, UAO, DIT, SSBS, BTI, MTE here, and no
// software step.
constexpr uint64_t kPstateMask = kNzcvMask | kIllegal | kDaifMask | kModeMask;

}  // namespace emu
