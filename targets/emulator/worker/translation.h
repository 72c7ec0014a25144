// Stage 1 of address translation, by the tables that the guest has in RAM.
#pragma once

#include <array>
#include <cstdint>

#include "sysregs.h"

namespace emu {

enum class Use : uint8_t { kLoad, kStore, kFetch };

constexpr uint64_t kPageSize = 0x1000;

// The status code of a data or instruction abort (Arm ARM, ESR_ELx.DFSC) of an access from `el` to
// the byte at `address`, 0 if there is none. With stage 1 off nothing faults here. Maps must leave
// addresses as they are and have pages of 4 KiB; others are external aborts.
uint64_t StageOneFault(const std::array<uint64_t, kSysRegCount>& regs, unsigned el,
                       uint64_t address, Use use);

}  // namespace emu
