// What a load or store outside SVE touches, decoded before VIXL dereferences it.
#pragma once

#include <cstdint>
#include <optional>

namespace emu {

struct Access {
  uint64_t address = 0;
  uint32_t size = 0;     // bytes from `address` on
  uint32_t element = 0;  // bytes of each element, for alignment checks
  bool write = false;    // as a data abort's syndrome has it: false for read-modify-write
  bool aligned = false;  // must be aligned whatever SCTLR_EL1.A says: exclusive, ordered, atomic
  bool sp_base = false;
  // The syndrome of a data abort is valid: one general-purpose register, no write-back, not
  // exclusive (Arm ARM, ISS of a data abort, ISV).
  bool syndrome = false;
  uint8_t rt = 31;
};

// General-purpose registers and the PC as the instruction sees them; x[31] is SP.
struct AddressRegs {
  uint64_t x[32];
  uint64_t pc;
};

// Nothing for instructions that touch no memory (among them prefetches) and for SVE.
std::optional<Access> DecodeAccess(uint32_t word, const AddressRegs& regs);

}  // namespace emu
