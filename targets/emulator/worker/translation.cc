#include "translation.h"

#include <cstring>

#include "wire.h"

namespace emu {
namespace {

constexpr uint64_t kTranslation = 0x04, kAccessFlag = 0x08, kPermission = 0x0c, kExternal = 0x10;
constexpr uint64_t kAddress = 0x0000fffffffff000;
constexpr int kLastLevel = 3, kLevelBits = 9;

// One half of the address space, as TCR_EL1 has it.
struct Half {
  int input_bits;
  bool off;
  bool granule_known;
  uint64_t table;
};

Half HalfOf(const std::array<uint64_t, kSysRegCount>& regs, bool upper) {
  const uint64_t tcr = regs[TCR_EL1];
  if (upper) {
    return {64 - static_cast<int>(tcr >> 16 & 0x3f), (tcr >> 23 & 1) != 0, (tcr >> 30 & 3) == 2,
            regs[TTBR1_EL1]};
  }
  return {64 - static_cast<int>(tcr & 0x3f), (tcr >> 7 & 1) != 0, (tcr >> 14 & 3) == 0,
          regs[TTBR0_EL1]};
}

int ShiftOf(int level) { return 12 + kLevelBits * (kLastLevel - level); }

bool Permits(uint64_t descriptor, unsigned el, Use use) {
  const bool for_el0 = (descriptor >> 6 & 1) != 0, read_only = (descriptor >> 7 & 1) != 0;
  const bool pxn = (descriptor >> 53 & 1) != 0, uxn = (descriptor >> 54 & 1) != 0;
  if (use == Use::kFetch) return el == 0 ? for_el0 && !uxn : !pxn && !(for_el0 && !read_only);
  return (el != 0 || for_el0) && !(use == Use::kStore && read_only);
}

}  // namespace

uint64_t StageOneFault(const std::array<uint64_t, kSysRegCount>& regs, unsigned el,
                       uint64_t address, Use use) {
  if ((regs[SCTLR_EL1] & kSctlrM) == 0) return 0;
  const Half half = HalfOf(regs, (address >> 55 & 1) != 0);
  if (half.off || half.input_bits > 48 || half.input_bits < 25) return kTranslation;
  const auto extended = static_cast<int64_t>(address) >> half.input_bits;
  if (extended != ((address >> 55 & 1) != 0 ? -1 : 0)) return kTranslation;
  if (!half.granule_known) return kExternal;

  int level = kLastLevel - (half.input_bits - 12 - 1) / kLevelBits;
  uint64_t table = half.table & kAddress;
  if (half.input_bits < ShiftOf(level - 1)) table = half.table & 0x0000ffffffffffc0;
  uint64_t index_mask = (uint64_t{1} << (half.input_bits - ShiftOf(level))) - 1;
  for (;; level++, index_mask = (1 << kLevelBits) - 1) {
    const uint64_t at = table + 8 * (address >> ShiftOf(level) & index_mask);
    if (at - kRamBase >= kRamSize) return kExternal;
    uint64_t descriptor;
    std::memcpy(&descriptor, reinterpret_cast<const void*>(at), sizeof(descriptor));
    const bool table_or_page = (descriptor & 3) == 3;
    if ((descriptor & 1) == 0 || (!table_or_page && (level == 0 || level == kLastLevel))) {
      return kTranslation | static_cast<uint64_t>(level);
    }
    if (table_or_page && level != kLastLevel) {
      table = descriptor & kAddress;
      continue;
    }
    const uint64_t inside = (uint64_t{1} << ShiftOf(level)) - 1;
    if (((descriptor & kAddress) ^ address) & ~inside) return kExternal;
    if ((descriptor >> 10 & 1) == 0) return kAccessFlag | static_cast<uint64_t>(level);
    return Permits(descriptor, el, use) ? 0 : kPermission | static_cast<uint64_t>(level);
  }
}

}  // namespace emu
