// CPACR_EL1's traps, KVM's lazy loading of guest FP state, and the vector length
// (facts 1.7, 2.1, 2.2, 2.4, 3).
#include <cstring>

#include "cpu.h"

namespace emu {
namespace {

constexpr uint64_t kTrapSve = 0x66000000;   // EC 0x19, IL
constexpr uint64_t kTrapFp = 0x1fe00000;    // EC 0x07, IL, CV, COND 0b1110

// ZEN or FPEN: 0b11 never traps, 0b01 traps EL0.
bool Allows(uint64_t field, unsigned el) {
  return (field & 3) == 3 || ((field & 3) == 1 && el == 1);
}

}  // namespace

bool Cpu::FpEnabled() const { return Allows(vcpu_.sysregs[CPACR_EL1] >> 20, El()); }

bool Cpu::SveEnabled() const {
  return vcpu_.HasSve() && Allows(vcpu_.sysregs[CPACR_EL1] >> 16, El());
}

// False when the access trapped. The guest's CPACR_EL1 comes before KVM's own trap, which
// loads the guest's state.
bool Cpu::EnterFp() {
  if (!FpEnabled()) {
    TakeException(kTrapFp, pc_now_);
    return false;
  }
  LoadFpState();
  AdoptVectorLength();
  return true;
}

bool Cpu::EnterSve() {
  if (!Allows(vcpu_.sysregs[CPACR_EL1] >> 16, El())) {
    TakeException(kTrapSve, pc_now_);
    return false;
  }
  if (!FpEnabled()) {
    TakeException(kTrapFp, pc_now_);
    return false;
  }
  if (!vcpu_.HasSve()) {  // KVM injects an undefined instruction
    TakeUndefined();
    return false;
  }
  LoadFpState();
  AdoptVectorLength();
  return true;
}

void Cpu::LoadFpState() {
  if (fp_loaded_) return;
  fp_loaded_ = true;
  vcpu_.core.fpcr &= kFpcrMask;
  vcpu_.core.fpsr &= kFpsrMask;
  vcpu_.sysregs[ZCR_EL1] &= kZcrMask;
  ReadFpcr().SetRawValue(vcpu_.core.fpcr);
  if (host_.zero_tails) ClearTails(SveEnabled() ? EffectiveVq() : 1);
  vq_ = 0;
}

// At every exit of a guest that loaded its state.
void Cpu::SaveFpState() {
  CopyOutVectors();
  ClearTailsOnException();
}

int Cpu::EffectiveVq() const {
  const int wanted = static_cast<int>(vcpu_.sysregs[ZCR_EL1] & kZcrMask) + 1;
  return host_.RoundDown(std::min(wanted, vcpu_.MaxVq()));
}

// Brings VIXL to the vector length in force. Where SVE is disabled, instructions see 128 bits.
void Cpu::AdoptVectorLength() {
  const int vq = SveEnabled() ? EffectiveVq() : 1;
  if (vq == vq_) return;
  if (vq_ != 0) CopyOutVectors();
  SetVectorLengthInBits(static_cast<unsigned>(vq) * 128);  // overwrites the register file
  vq_ = vq;
  CopyInVectors();
}

namespace {

template <typename Register>
void Fill(Register& reg, const uint8_t* from, size_t n) {
  reg.Clear();
  for (size_t i = 0; i < n; i += 8) {
    uint64_t lane;
    std::memcpy(&lane, from + i, 8);
    reg.Insert(static_cast<int>(i / 8), lane);
  }
}

template <typename Register>
void FillPredicate(Register& reg, const uint8_t* from, size_t n) {
  reg.Clear();
  for (size_t i = 0; i < n; i++) reg.Insert(static_cast<int>(i), from[i]);
}

}  // namespace

void Cpu::CopyInVectors() {
  const size_t bytes = 16 * static_cast<size_t>(vq_);
  VectorFile& file = vcpu_.vectors;
  for (unsigned i = 0; i < 32; i++) Fill(vregisters_[i], file.z[i], bytes);
  for (unsigned i = 0; i < 16; i++) FillPredicate(pregisters_[i], file.p[i], bytes / 8);
  FillPredicate(ffr_register_, file.ffr, bytes / 8);
}

// What lies above VIXL's vector length stays as it is in the vcpu.
void Cpu::CopyOutVectors() {
  if (vq_ == 0) return;
  const size_t bytes = 16 * static_cast<size_t>(vq_);
  VectorFile& file = vcpu_.vectors;
  for (unsigned i = 0; i < 32; i++) std::memcpy(file.z[i], vregisters_[i].GetBytes(), bytes);
  for (unsigned i = 0; i < 16; i++) std::memcpy(file.p[i], pregisters_[i].GetBytes(), bytes / 8);
  std::memcpy(file.ffr, ffr_register_.GetBytes(), bytes / 8);
}

void Cpu::ClearTails(int vq) {
  const size_t bytes = 16 * static_cast<size_t>(vq);
  VectorFile& file = vcpu_.vectors;
  for (auto& z : file.z) std::memset(z + bytes, 0, sizeof(z) - bytes);
  for (auto& p : file.p) std::memset(p + bytes / 8, 0, sizeof(p) - bytes / 8);
  std::memset(file.ffr + bytes / 8, 0, sizeof(file.ffr) - bytes / 8);
}

// An exception to a higher level may clear what lies above the VL of the level it leaves, if
// FP is enabled there.
void Cpu::ClearTailsOnException() {
  if (!fp_loaded_ || !host_.zero_tails || !FpEnabled()) return;
  CopyOutVectors();
  ClearTails(SveEnabled() ? EffectiveVq() : 1);
  vq_ = 0;  // VIXL's copy is stale
}

void Cpu::WriteZcr(uint64_t value) {
  const int before = EffectiveVq();
  vcpu_.sysregs[ZCR_EL1] = value & kZcrMask;
  if (EffectiveVq() < before && host_.zero_tails) {
    CopyOutVectors();
    ClearTails(EffectiveVq());
    vq_ = 0;  // VIXL's copy is stale
  }
}

}  // namespace emu
