// The addresses an SVE load or store touches.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "access.h"

namespace emu {

// The vector state an address can depend on, at the vector length in force.
struct VectorView {
  uint64_t vl_bytes;
  std::function<uint64_t(unsigned n, unsigned lane, unsigned bytes)> z;  // zero-extended lane
  std::function<bool(unsigned n, unsigned bit)> p;
};

// Accesses that must succeed, in element order; those that a first-fault or non-fault load
// may suppress are left out. `sp_base` is set even when no element is active.
struct SveAccess {
  bool write = false;
  bool sp_base = false;
  uint64_t alignment = 1;  // of every element's address, where alignment is checked
  struct Element {
    uint64_t address;
    uint64_t size;
  };
  std::vector<Element> elements;
};

bool IsSveMemory(uint32_t word);

SveAccess DecodeSveAccess(uint32_t word, const AddressRegs& regs, const VectorView& vectors);

}  // namespace emu
