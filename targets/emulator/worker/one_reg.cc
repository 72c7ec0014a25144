// GET_ONE_REG, SET_ONE_REG and GET_REG_LIST (facts 1.4 to 1.8).
#include <cerrno>

#include "pstate.h"
#include "vcpu.h"

namespace emu {
namespace {

constexpr uint64_t kArm64 = 0x6000000000000000;
constexpr uint64_t kSizeMask = 0x00f0000000000000;
constexpr uint64_t kCoprocMask = 0x0fff0000;
constexpr uint64_t kCore = 0x10 << 16;
constexpr uint64_t kSystem = 0x13 << 16;
constexpr uint64_t kSveRegs = 0x15 << 16;

constexpr uint64_t Sized(uint64_t size_code) { return kArm64 | size_code << 52; }
constexpr uint64_t kU32 = 2;
constexpr uint64_t kU64 = 3;
constexpr uint64_t kU128 = 4;

constexpr uint64_t kVls = Sized(6) | kSveRegs | 0xffff;
constexpr uint64_t kFirstZ = Sized(8) | kSveRegs;
constexpr uint64_t kFirstP = Sized(5) | kSveRegs | 0x400;
constexpr uint64_t kFfr = Sized(5) | kSveRegs | 0x600;
constexpr uint64_t kSlices = 32;
constexpr int kVlsWords = 8;

constexpr uint64_t kCoreWords = 216;  // sizeof(struct kvm_regs) / 4

uint64_t SizeOf(uint64_t id) { return uint64_t{1} << ((id & kSizeMask) >> 52); }

bool WellFormed(uint64_t id) { return (id & ~kSizeMask) >> 32 == kArm64 >> 32; }

// The system register that `id` names, or -1.
int SystemEncoding(uint64_t id) {
  const uint64_t fixed = Sized(kU64) | kSystem;
  if ((id & ~uint64_t{0xffff}) != fixed) return -1;
  return static_cast<int>(id & 0xffff);
}

bool ModeAllowed(uint64_t pstate) {
  const uint64_t mode = pstate & kModeMask;
  return mode == kModeEl0t || mode == kModeEl1t || mode == kModeEl1h;
}

}  // namespace

int Vcpu::SetReg(uint64_t id, const UserBuffer& buffer) {
  if (!initialised_) return ENOEXEC;
  ResetIfAsked();
  if (!WellFormed(id)) return EINVAL;
  switch (id & kCoprocMask) {
    case kCore:
      return SetCoreReg(id, buffer);
    case kSveRegs:
      return SetSveReg(id, buffer);
    default:
      return SetSystemReg(id, buffer);
  }
}

int Vcpu::GetReg(uint64_t id, UserBuffer& buffer) {
  if (!initialised_) return ENOEXEC;
  ResetIfAsked();
  if (!WellFormed(id)) return EINVAL;
  switch (id & kCoprocMask) {
    case kCore:
      return GetCoreReg(id, buffer);
    case kSveRegs:
      return GetSveReg(id, buffer);
    default:
      return GetSystemReg(id, buffer);
  }
}

Vcpu::Place Vcpu::CorePlace(uint64_t word) {
  struct Row {
    uint64_t first, count, stride;  // in words of struct kvm_regs
    void* at;
    size_t size;
  };
  const Row rows[] = {
      {0, 31, 2, core.x, 8},          {62, 1, 2, &core.sp_el0, 8},
      {64, 1, 2, &core.pc, 8},        {66, 1, 2, &core.pstate, 8},
      {68, 1, 2, &core.sp_el1, 8},    {70, 1, 2, &core.elr_el1, 8},
      {72, 5, 2, core.spsr, 8},       {212, 1, 1, &core.fpsr, 4},
      {213, 1, 1, &core.fpcr, 4},
  };
  for (const Row& row : rows) {
    if (word < row.first || word >= row.first + row.count * row.stride) continue;
    if ((word - row.first) % row.stride != 0) return {};
    const uint64_t i = (word - row.first) / row.stride;
    return {static_cast<uint8_t*>(row.at) + i * row.size, row.size};
  }
  const bool is_v = word >= 84 && word < 212 && word % 4 == 0;
  if (is_v && !HasSve()) return {vectors.z[(word - 84) / 4], 16};
  return {};
}

int Vcpu::CheckCoreId(uint64_t id, Place* place) {
  const uint64_t word = id & 0xf000ffff;  // WellFormed has dealt with the upper half
  if (word >= kCoreWords || word + SizeOf(id) / 4 >= kCoreWords) return ENOENT;
  *place = CorePlace(word);
  return place->at != nullptr && place->size == SizeOf(id) ? 0 : EINVAL;
}

int Vcpu::SetCoreReg(uint64_t id, const UserBuffer& buffer) {
  Place place;
  if (const int err = CheckCoreId(id, &place)) return err;
  uint8_t value[16];
  if (!buffer.CopyIn(value, place.size)) return EFAULT;
  if (place.at == &core.pstate && !ModeAllowed(Take<uint64_t>(value))) return EINVAL;
  std::memcpy(place.at, value, place.size);
  return 0;
}

int Vcpu::GetCoreReg(uint64_t id, UserBuffer& buffer) {
  Place place;
  if (const int err = CheckCoreId(id, &place)) return err;
  return buffer.CopyOut(0, place.at, place.size) ? 0 : EFAULT;
}

// `place->size` becomes the bytes that exist at the vcpu's maximum VL.
int Vcpu::CheckSveId(uint64_t id, Place* place) {
  const bool is_z = id >= kFirstZ && id < kFirstZ + 32 * kSlices;
  const bool is_p = id >= kFirstP && id < kFfr + kSlices;
  if (!is_z && !is_p) return EINVAL;
  if (!HasSve() || id % kSlices != 0) return ENOENT;
  if (!finalized_) return EPERM;
  const uint64_t n = (id - (is_z ? kFirstZ : kFirstP)) / kSlices;
  const size_t bytes = 16 * static_cast<size_t>(max_vq_);
  if (is_z) {
    *place = {vectors.z[n], bytes};
  } else {
    *place = {n < 16 ? vectors.p[n] : vectors.ffr, bytes / 8};
  }
  return 0;
}

int Vcpu::SetSveReg(uint64_t id, const UserBuffer& buffer) {
  if (id == kVls) return SetVls(buffer);
  Place place;
  if (const int err = CheckSveId(id, &place)) return err;
  return buffer.CopyIn(place.at, place.size) ? 0 : EFAULT;
}

int Vcpu::GetSveReg(uint64_t id, UserBuffer& buffer) {
  if (id == kVls) return GetVls(buffer);
  Place place;
  if (const int err = CheckSveId(id, &place)) return err;
  const uint8_t zeros[kMaxVlBytes] = {};
  if (!buffer.CopyOut(0, place.at, place.size)) return EFAULT;
  return buffer.CopyOut(place.size, zeros, SizeOf(id) - place.size) ? 0 : EFAULT;
}

int Vcpu::SetVls(const UserBuffer& buffer) {
  if (!HasSve()) return ENOENT;
  if (finalized_) return EPERM;
  uint8_t words[8 * kVlsWords];
  if (!buffer.CopyIn(words, sizeof(words))) return EFAULT;
  const auto asked = [&words](int vq) { return (words[(vq - 1) / 8] >> ((vq - 1) % 8) & 1) != 0; };
  int most = 64 * kVlsWords;
  while (most > 0 && !asked(most)) most--;
  if (most == 0 || most > vm_.host.MaxVq()) return EINVAL;
  for (int vq = 1; vq <= most; vq++) {
    if (asked(vq) != vm_.host.Has(vq)) return EINVAL;
  }
  max_vq_ = most;
  return 0;
}

int Vcpu::GetVls(UserBuffer& buffer) {
  if (!HasSve()) return ENOENT;
  Bytes words;
  Put<uint64_t>(words, vm_.host.vqs & ((uint64_t{1} << max_vq_) - 1));
  words.resize(8 * kVlsWords);
  return buffer.CopyOut(0, words.data(), words.size()) ? 0 : EFAULT;
}

int Vcpu::SetSystemReg(uint64_t id, const UserBuffer& buffer) {
  uint8_t bytes[8];
  if (!buffer.CopyIn(bytes, sizeof(bytes))) return EFAULT;
  const uint64_t value = Take<uint64_t>(bytes);
  const int encoding = SystemEncoding(id);
  if (encoding < 0) return ENOENT;
  if (IsIdReg(encoding)) return vm_.WriteIdReg(encoding, value);
  if (const ConstReg* reg = FindConstReg(encoding); reg != nullptr && reg->listed) {
    return value == reg->value ? 0 : EINVAL;
  }
  const SysReg reg = FindSysReg(encoding);
  if (reg == kSysRegCount || (reg == ZCR_EL1 && !HasSve())) return ENOENT;
  sysregs[reg] = value;
  return 0;
}

int Vcpu::GetSystemReg(uint64_t id, UserBuffer& buffer) {
  const int encoding = SystemEncoding(id);
  if (encoding < 0) return ENOENT;
  uint64_t value = 0;
  if (IsIdReg(encoding)) {
    value = vm_.ReadIdReg(encoding);
  } else if (const ConstReg* row = FindConstReg(encoding); row != nullptr && row->listed) {
    value = row->value;
  } else {
    const SysReg reg = FindSysReg(encoding);
    if (reg == kSysRegCount || (reg == ZCR_EL1 && !HasSve())) return ENOENT;
    value = sysregs[reg];
  }
  Bytes bytes;
  Put(bytes, value);
  return buffer.PutWhole(bytes.data(), bytes.size()) ? 0 : EFAULT;
}

int Vcpu::RegList(uint64_t* n, std::vector<uint64_t>* ids) {
  if (!initialised_) return ENOEXEC;
  if (HasSve() && !finalized_) return EPERM;
  std::vector<uint64_t> list;
  for (uint64_t word = 0; word < kCoreWords; word++) {
    const Place place = CorePlace(word);
    if (place.at == nullptr) continue;
    const uint64_t code = place.size == 4 ? kU32 : place.size == 8 ? kU64 : kU128;
    list.push_back(Sized(code) | kCore | word);
  }
  if (HasSve()) {
    list.push_back(kVls);
    for (uint64_t i = 0; i < 32; i++) list.push_back(kFirstZ + i * kSlices);
    for (uint64_t i = 0; i < 17; i++) list.push_back(kFirstP + i * kSlices);
  }
  const uint64_t system = Sized(kU64) | kSystem;
  for (const ConstReg& reg : kConstRegs) {
    if (reg.listed) list.push_back(system | reg.encoding);
  }
  for (uint64_t i = 0; i < kIdRegCount; i++) list.push_back(system | (kIdRegBase + i));
  for (int i = 0; i < kSysRegCount; i++) {
    if (i != ZCR_EL1 || HasSve()) list.push_back(system | kSysRegs[i].encoding);
  }
  const uint64_t room = *n;
  *n = list.size();
  if (room < list.size()) return E2BIG;
  *ids = std::move(list);
  return 0;
}

}  // namespace emu
