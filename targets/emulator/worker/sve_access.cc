#include "sve_access.h"

#include <optional>

#include "bits.h"

namespace emu {
namespace {

// Bytes in memory and in the vector of each dtype of a contiguous load.
struct ElementType {
  uint8_t memory, vector;
};
constexpr ElementType kDtypes[16] = {{1, 1}, {1, 2}, {1, 4}, {1, 8}, {4, 8}, {2, 2},
                                     {2, 4}, {2, 8}, {2, 8}, {2, 4}, {4, 4}, {4, 8},
                                     {1, 8}, {1, 4}, {1, 2}, {8, 8}};

// Where the elements of one instruction lie.
struct Layout {
  uint64_t base = 0;
  bool scalar_base = true;
  uint64_t memory = 1;      // bytes each element takes in memory, all registers of a structure
  uint64_t alignment = 1;   // bytes that one register's element takes
  uint64_t vector = 1;      // bytes of an element in the vector, for the predicate
  uint64_t count = 0;       // elements
  bool predicated = true;
  bool one = false;         // LD1R: one access if any element is active
  bool first_only = false;  // first-fault
  bool suppressed = false;  // non-fault, prefetch
  std::optional<unsigned> offsets;  // vector register with offsets or addresses
  bool narrow = false;              // of which the low 32 bits count
  bool sign = false;
  int shift = 0;
};

class Decoder {
 public:
  Decoder(uint32_t word, const AddressRegs& regs, const VectorView& vectors)
      : word_(word), regs_(regs), vl_(vectors.vl_bytes) {}

  Layout Decode() const {
    switch (word_ >> 25) {
      case 0x52:
        return ContiguousLoad();
      case 0x42:
        return Gather32();
      case 0x62:
        return Gather64();
      default:
        return Store();
    }
  }

 private:
  uint32_t Field(int high, int low) const { return Bits(word_, high, low); }
  uint32_t Form() const { return Field(15, 13); }
  uint64_t Msize() const { return uint64_t{1} << Field(24, 23); }
  uint64_t Base() const { return regs_.x[Field(9, 5)]; }
  uint64_t Index() const { return Field(20, 16) == 31 ? 0 : regs_.x[Field(20, 16)]; }

  Layout Nothing() const {
    Layout layout;
    layout.suppressed = true;
    return layout;
  }

  // Scalar base; `registers` per structure; offset by `Index()` or by imm4 vectors.
  Layout Contiguous(ElementType type, uint64_t registers, bool immediate) const {
    Layout layout;
    layout.memory = type.memory * registers;
    layout.alignment = type.memory;
    layout.vector = type.vector;
    layout.count = vl_ / type.vector;
    const uint64_t whole = layout.memory * layout.count;
    layout.base = Base() + (immediate ? static_cast<uint64_t>(Signed(word_, 19, 16)) * whole
                                      : Index() * type.memory);
    return layout;
  }

  Layout Structure(bool immediate) const {
    const auto size = static_cast<uint8_t>(Msize());
    return Contiguous({size, size}, Field(22, 21) + 1, immediate);
  }

  // LDR and STR of a whole Z or P.
  Layout Whole(bool predicate) const {
    const int64_t imm = Signed(word_, 21, 16) * 8 + Field(12, 10);
    Layout layout;
    layout.memory = predicate ? vl_ / 8 : vl_;
    layout.alignment = predicate ? 2 : 16;
    layout.base = Base() + static_cast<uint64_t>(imm) * layout.memory;
    layout.count = 1;
    layout.predicated = false;
    return layout;
  }

  Layout ContiguousLoad() const {
    const ElementType type = kDtypes[Field(24, 21)];
    Layout layout;
    switch (Form()) {
      case 0:
      case 1: {  // LD1RQ
        const auto size = static_cast<uint8_t>(Msize());
        layout = Contiguous({size, size}, 1, false);
        layout.count = 16 / size;
        if (Form() == 1) {
          layout.base = Base() + static_cast<uint64_t>(Signed(word_, 19, 16)) * 16;
        }
        return layout;
      }
      case 2:
        return Contiguous(type, 1, false);
      case 3:
        layout = Contiguous(type, 1, false);
        layout.first_only = true;
        return layout;
      case 5:
        layout = Contiguous(type, 1, true);
        layout.suppressed = Field(20, 20) != 0;
        return layout;
      case 6:
        return Structure(false);
      case 7:
        return Structure(true);
      default:
        return Nothing();
    }
  }

  // Scalar base plus a vector of offsets, or a vector base plus an immediate.
  Layout Gather(uint64_t vector, bool vector_base, bool narrow, bool scaled) const {
    Layout layout;
    layout.memory = layout.alignment = Msize();
    layout.vector = vector;
    layout.count = vl_ / vector;
    layout.narrow = narrow;
    layout.scalar_base = !vector_base;
    layout.offsets = vector_base ? Field(9, 5) : Field(20, 16);
    layout.base = vector_base ? Field(20, 16) * Msize() : Base();
    layout.shift = scaled ? static_cast<int>(Field(24, 23)) : 0;
    return layout;
  }

  Layout GatherLoad(uint64_t vector, bool vector_base, bool narrow, bool scaled) const {
    Layout layout = Gather(vector, vector_base, narrow, scaled);
    layout.sign = narrow && !vector_base && Field(22, 22) != 0;
    layout.first_only = Field(13, 13) != 0;
    return layout;
  }

  Layout Gather32() const {
    if (Field(15, 15) != 0 && Field(22, 22) != 0) {  // LD1R
      const ElementType type = kDtypes[Field(24, 23) << 2 | Field(14, 13)];
      Layout layout;
      layout.base = Base() + Field(21, 16) * type.memory;
      layout.memory = layout.alignment = type.memory;
      layout.vector = type.vector;
      layout.count = vl_ / type.vector;
      layout.one = true;
      return layout;
    }
    const uint32_t mid = Field(22, 21);
    if (Field(24, 22) == 6 && (Form() == 0 || Form() == 2)) return Whole(Form() == 0);
    if (Field(15, 15) != 0) return mid == 1 ? GatherLoad(4, true, true, false) : Nothing();
    const bool scaled = (mid & 1) != 0;
    const bool load = scaled ? Field(24, 23) == 1 || Field(24, 23) == 2 : Field(24, 23) != 3;
    return load ? GatherLoad(4, false, true, scaled) : Nothing();
  }

  Layout Gather64() const {
    const uint32_t mid = Field(22, 21);
    const bool scaled = (mid & 1) != 0;
    if (Field(15, 15) == 0) {
      return scaled && Msize() == 1 ? Nothing() : GatherLoad(8, false, true, scaled);
    }
    if (mid == 1) return GatherLoad(8, true, false, false);
    if (mid == 0 || (scaled && Msize() == 1)) return Nothing();
    return GatherLoad(8, false, false, scaled);
  }

  Layout Store() const {
    const uint32_t mid = Field(22, 21);
    const auto memory = static_cast<uint8_t>(Msize());
    const auto vector = static_cast<uint8_t>(1 << mid);
    switch (Form()) {
      case 0:
      case 2:
        if (Field(24, 22) == 6) return Whole(Form() == 0);
        return Form() == 2 ? Contiguous({memory, vector}, 1, false) : Nothing();
      case 3:
        return Structure(false);
      case 7:
        return Field(20, 20) != 0 ? Structure(true) : Contiguous({memory, vector}, 1, true);
      case 4:
      case 6: {
        Layout layout = Gather(mid < 2 ? 8 : 4, false, true, (mid & 1) != 0);
        layout.sign = Form() == 6;
        return layout;
      }
      case 5:
        return mid < 2 ? Gather(8, false, false, mid == 1)
                       : Gather(mid == 2 ? 8 : 4, true, mid == 3, false);
      default:
        return Nothing();
    }
  }

  const uint32_t word_;
  const AddressRegs& regs_;
  const uint64_t vl_;
};

uint64_t ElementAddress(const Layout& layout, const VectorView& vectors, unsigned element) {
  if (layout.one) return layout.base;
  if (!layout.offsets) return layout.base + element * layout.memory;
  uint64_t offset = vectors.z(*layout.offsets, element, static_cast<unsigned>(layout.vector));
  if (layout.narrow) {
    const auto low = static_cast<uint32_t>(offset);
    offset = layout.sign ? static_cast<uint64_t>(int64_t{static_cast<int32_t>(low)}) : low;
  }
  return layout.base + (offset << layout.shift);
}

}  // namespace

bool IsSveMemory(uint32_t word) {
  const uint32_t group = word >> 25;
  return group == 0x42 || group == 0x52 || group == 0x62 || group == 0x72;
}

SveAccess DecodeSveAccess(uint32_t word, const AddressRegs& regs, const VectorView& vectors) {
  const Layout layout = Decoder(word, regs, vectors).Decode();
  SveAccess access;
  access.write = word >> 25 == 0x72;
  access.sp_base = layout.scalar_base && Bits(word, 9, 5) == 31 && layout.count != 0;
  access.alignment = layout.alignment;
  if (layout.suppressed) return access;
  for (unsigned e = 0; e < layout.count; e++) {
    const auto bit = static_cast<unsigned>(e * layout.vector);
    if (layout.predicated && !vectors.p(Bits(word, 12, 10), bit)) continue;
    access.elements.push_back({ElementAddress(layout, vectors, e), layout.memory});
    if (layout.first_only || layout.one) break;
  }
  return access;
}

}  // namespace emu
