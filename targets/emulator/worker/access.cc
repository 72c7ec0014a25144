#include "access.h"

#include "bits.h"

namespace emu {
namespace {

uint64_t ExtendedOffset(uint32_t word, const AddressRegs& regs, int scale) {
  const uint32_t rm = Bits(word, 20, 16);
  uint64_t offset = rm == 31 ? 0 : regs.x[rm];
  switch (Bits(word, 15, 13)) {
    case 2:  // UXTW
      offset = static_cast<uint32_t>(offset);
      break;
    case 6:  // SXTW
      offset = static_cast<uint64_t>(static_cast<int64_t>(static_cast<int32_t>(offset)));
      break;
    default:  // LSL, SXTX
      break;
  }
  return Bits(word, 12, 12) != 0 ? offset << scale : offset;
}

// LDR and STR of one register in every addressing mode, LSE atomics, LDAPR.
std::optional<Access> OneRegister(uint32_t word, const AddressRegs& regs) {
  const bool vector = Bits(word, 26, 26) != 0;
  const uint32_t opc = Bits(word, 23, 22);
  const uint32_t size = Bits(word, 31, 30);
  if (vector && (opc & 2) != 0 && size != 0) return std::nullopt;
  const uint32_t mode = Bits(word, 11, 10);
  const bool scaled = Bits(word, 24, 24) != 0;
  const bool atomic = !scaled && Bits(word, 21, 21) != 0 && mode == 0;
  if (!vector && size == 3 && opc == 2 && !atomic) return std::nullopt;  // prefetch
  const int scale = vector && (opc & 2) != 0 ? 4 : static_cast<int>(size);
  Access access;
  access.address = regs.x[Bits(word, 9, 5)];
  access.size = access.element = 1u << scale;
  access.write = vector ? (opc & 1) == 0 : opc == 0;
  access.syndrome = !vector;
  if (scaled) {
    access.address += uint64_t{Bits(word, 21, 10)} << scale;
    return access;
  }
  if (Bits(word, 21, 21) == 0) {
    if (mode != 1) access.address += static_cast<uint64_t>(Signed(word, 20, 12));
    if (mode == 1 || mode == 3) access.syndrome = false;
    return access;
  }
  if (mode == 2) {
    access.address += ExtendedOffset(word, regs, scale);
    return access;
  }
  if (!atomic || vector) return std::nullopt;  // pointer authentication
  access.aligned = true;
  access.write = false;
  access.syndrome = (word & 0x3ffffc00) == 0x38bfc000;  // LDAPR
  return access;
}

Access Pair(uint32_t word, const AddressRegs& regs) {
  const uint32_t opc = Bits(word, 31, 30);
  const int scale = Bits(word, 26, 26) != 0 ? 2 + static_cast<int>(opc) : (opc & 2) != 0 ? 3 : 2;
  Access access;
  access.address = regs.x[Bits(word, 9, 5)];
  if (Bits(word, 24, 23) != 1) {
    access.address += static_cast<uint64_t>(Signed(word, 21, 15)) << scale;
  }
  access.size = 2u << scale;
  access.element = 1u << scale;
  access.write = Bits(word, 22, 22) == 0;
  return access;
}

std::optional<Access> Literal(uint32_t word, const AddressRegs& regs) {
  const uint32_t opc = Bits(word, 31, 30);
  const bool vector = Bits(word, 26, 26) != 0;
  if (opc == 3) return std::nullopt;  // PRFM
  Access access;
  access.address = regs.pc + static_cast<uint64_t>(Signed(word, 23, 5) * 4);
  access.size = access.element = vector ? 4u << opc : opc == 1 ? 8 : 4;
  access.syndrome = !vector;
  return access;
}

Access Exclusive(uint32_t word, const AddressRegs& regs) {
  const uint32_t size = Bits(word, 31, 30);
  const bool ordered = Bits(word, 23, 23) != 0;
  const bool o1 = Bits(word, 21, 21) != 0;
  Access access;
  access.address = regs.x[Bits(word, 9, 5)];
  access.size = 1u << size;
  access.write = Bits(word, 22, 22) == 0 && !(ordered && o1);  // not CAS
  access.syndrome = ordered && !o1;                            // LDAR, STLR and their kin
  if (!ordered && o1) {  // pairs: CASP below size 2
    access.size = size < 2 ? 8u << size : 2u << size;
    access.write = access.write && size >= 2;
  }
  access.element = access.size;
  access.aligned = true;
  return access;
}

Access UnscaledOrdered(uint32_t word, const AddressRegs& regs) {
  Access access;
  access.address = regs.x[Bits(word, 9, 5)] + static_cast<uint64_t>(Signed(word, 20, 12));
  access.size = access.element = 1u << Bits(word, 31, 30);
  access.aligned = true;
  access.write = Bits(word, 23, 22) == 0;
  access.syndrome = true;
  return access;
}

std::optional<Access> SimdStructures(uint32_t word, const AddressRegs& regs) {
  Access access;
  access.address = regs.x[Bits(word, 9, 5)];
  access.write = Bits(word, 22, 22) == 0;
  if (Bits(word, 24, 24) == 0) {
    static constexpr uint8_t kRegisters[16] = {4, 0, 4, 0, 3, 0, 3, 1, 2, 0, 2};
    const uint32_t registers = kRegisters[Bits(word, 15, 12)];
    if (registers == 0) return std::nullopt;
    access.size = registers * (Bits(word, 30, 30) != 0 ? 16 : 8);
    access.element = 1u << Bits(word, 11, 10);
    return access;
  }
  const uint32_t registers = (Bits(word, 13, 13) << 1 | Bits(word, 21, 21)) + 1;
  uint32_t scale = Bits(word, 15, 14);
  if (scale == 3) {
    scale = Bits(word, 11, 10);  // load and replicate
  } else if (scale == 2 && Bits(word, 10, 10) != 0) {
    scale = 3;
  }
  access.size = registers << scale;
  access.element = 1u << scale;
  return access;
}

std::optional<Access> Decode(uint32_t word, const AddressRegs& regs) {
  if ((word & 0x3b000000) == 0x18000000) return Literal(word, regs);
  if ((word & 0x3f000000) == 0x08000000) return Exclusive(word, regs);
  if ((word & 0x3f200c00) == 0x19000000) return UnscaledOrdered(word, regs);
  if ((word & 0x3a000000) == 0x28000000) return Pair(word, regs);
  if ((word & 0x3a000000) == 0x38000000) return OneRegister(word, regs);
  if ((word & 0xbe000000) == 0x0c000000) return SimdStructures(word, regs);
  return std::nullopt;
}

}  // namespace

std::optional<Access> DecodeAccess(uint32_t word, const AddressRegs& regs) {
  std::optional<Access> access = Decode(word, regs);
  if (!access) return access;
  access->rt = static_cast<uint8_t>(Bits(word, 4, 0));
  const bool literal = (word & 0x3b000000) == 0x18000000;
  access->sp_base = !literal && Bits(word, 9, 5) == 31;
  return access;
}

}  // namespace emu
