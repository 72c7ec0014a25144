// The vcpu's life: INIT, FINALIZE, RUN, MP_STATE (facts 1.1 to 1.3, 1.9).
#include "vcpu.h"

#include <cerrno>

#include "guest.h"
#include "pstate.h"

namespace emu {

uint64_t Vm::ReadIdReg(uint16_t encoding) const {
  const auto written = id_regs.find(encoding);
  return written != id_regs.end() ? written->second : IdRegLimit(encoding, (features & kSve) != 0);
}

int Vm::WriteIdReg(uint16_t encoding, uint64_t value) {
  if (has_run) return value == ReadIdReg(encoding) ? 0 : EBUSY;
  if (!IdRegAllows(encoding, value, (features & kSve) != 0)) return EINVAL;
  id_regs[encoding] = value;
  return 0;
}

int Vm::CreateVcpu(uint8_t slot) {
  if (vcpus[slot]) return EEXIST;
  vcpus[slot] = std::make_unique<Vcpu>(*this, slot);
  created.push_back(vcpus[slot].get());
  return 0;
}

int Vcpu::Init(uint32_t target, const uint8_t* features) {
  const auto asked = Take<uint32_t>(features);
  const uint32_t wanted = asked & ~kPowerOff;
  if (target != kTargetGenericV8) return EINVAL;
  if ((wanted & ~kKnownFeatures) != 0) return ENOENT;
  for (size_t i = 4; i < kFeatureBytes; i++) {
    if (features[i] != 0) return ENOENT;
  }
  if ((wanted & ~kSupportedFeatures) != 0) return EINVAL;
  if (initialised_ ? wanted != features_ : vm_.features_fixed && wanted != vm_.features) {
    return EINVAL;
  }
  vm_.features = features_ = wanted;
  vm_.features_fixed = true;
  initialised_ = true;
  serror_pending = false;
  Reset();
  mp_state_ = (asked & kPowerOff) != 0 ? kMpStopped : kMpRunnable;
  return 0;
}

void Vcpu::Reset() {
  // KVM forgets to reset what it keeps beside struct user_pt_regs (seen on 6.12).
  const CoreRegs before = core;
  core = CoreRegs();
  core.sp_el1 = before.sp_el1;
  core.elr_el1 = before.elr_el1;
  core.spsr[0] = before.spsr[0];
  core.pstate = kModeEl1h | kDaifMask;
  vectors = VectorFile();
  for (int i = 0; i < kSysRegCount; i++) sysregs[i] = kSysRegs[i].reset;
  sysregs[MPIDR_EL1] = uint64_t{1} << 31 | (id_ & 0xf) | uint64_t{id_} >> 4 << 8;
  if (!finalized_) max_vq_ = vm_.host.MaxVq();
  if (!entry_.valid) return;
  entry_.valid = false;
  core.pc = entry_.pc;
  core.x[0] = entry_.context;
  if (entry_.big_endian) sysregs[SCTLR_EL1] |= kSctlrEe;
}

void Vcpu::TurnOn(uint64_t entry, uint64_t context, bool big_endian) {
  entry_ = {true, entry, context, big_endian};
  reset_asked_ = true;
  mp_state_ = kMpRunnable;
}

void Vcpu::ResetIfAsked() {
  if (!reset_asked_) return;
  reset_asked_ = false;
  Reset();
}

int Vcpu::Finalize(int what) {
  if (!initialised_) return ENOEXEC;
  if (what != kFinalizeSve || !HasSve()) return EINVAL;
  if (finalized_) return EPERM;
  finalized_ = true;
  return 0;
}

int Vcpu::SetMpState(uint32_t state) {
  if (state != kMpRunnable && state != kMpStopped && state != kMpSuspended) return EINVAL;
  mp_state_ = state;
  return 0;
}

// A host without the RAS extension: an SError has no syndrome of user space's.
int Vcpu::SetEvents(const WireEvents& events) {
  if (!initialised_) return ENOEXEC;
  bool unused_set = events.pad_first != 0 || events.pad_rest != 0;
  for (const uint32_t word : events.reserved) unused_set |= word != 0;
  if (unused_set || (events.serror_pending != 0 && events.serror_has_esr != 0)) return EINVAL;
  if (events.serror_pending != 0) serror_pending = true;
  if (events.ext_dabt_pending != 0) TakeExternalAbort();
  return 0;
}

int Vcpu::GetEvents(WireEvents* events) const {
  if (!initialised_) return ENOEXEC;
  *events = WireEvents();
  events->serror_pending = serror_pending ? 1 : 0;
  return 0;
}

// The guest finds itself at its handler of a synchronous external abort, whose address nobody
// knows.
void Vcpu::TakeExternalAbort() {
  ResetIfAsked();
  const bool from_el0 = (core.pstate & kModeMask) == kModeEl0t;
  const uint64_t vector = from_el0 ? 0x400 : (core.pstate & 1) != 0 ? 0x200 : 0;
  core.elr_el1 = core.pc;
  core.spsr[0] = core.pstate;
  sysregs[ESR_EL1] = from_el0 ? 0x92000010 : 0x96000010;
  core.pstate = (core.pstate & kNzcvMask) | kDaifMask | kModeEl1h;
  core.pc = (sysregs[VBAR_EL1] & ~uint64_t{0x7ff}) + vector;
}

int Vcpu::Run(bool immediate_exit, RunExit* exit) {
  if (!initialised_) return ENOEXEC;
  if (HasSve() && !finalized_) return EPERM;
  vm_.has_run = true;
  if (immediate_exit) return EINTR;
  ResetIfAsked();
  return RunGuest(*this, exit);
}

void Vcpu::CompleteMmio() {
  if (pending.load && pending.rt < 31) core.x[pending.rt] = 0;
  core.pc += 4;
  pending = PendingMmio();
}

}  // namespace emu
