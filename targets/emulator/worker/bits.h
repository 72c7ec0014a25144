// Fields of an instruction word.
#pragma once

#include <cstdint>

namespace emu {

constexpr uint32_t Bits(uint32_t word, int high, int low) {
  return word >> low & static_cast<uint32_t>((uint64_t{1} << (high - low + 1)) - 1);
}

// The field as a two's complement number.
constexpr int64_t Signed(uint32_t word, int high, int low) {
  const int width = high - low + 1;
  return static_cast<int64_t>(uint64_t{Bits(word, high, low)} << (64 - width)) >> (64 - width);
}

}  // namespace emu
