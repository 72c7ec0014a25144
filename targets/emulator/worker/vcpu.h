// A vcpu's state and its ioctls, and the VM they share.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "host.h"
#include "sysregs.h"
#include "user_buffer.h"
#include "wire.h"

namespace emu {

// struct kvm_regs, field by field.
struct CoreRegs {
  uint64_t x[31] = {};
  uint64_t sp_el0 = 0;
  uint64_t pc = 0;
  uint64_t pstate = 0;
  uint64_t sp_el1 = 0;
  uint64_t elr_el1 = 0;
  uint64_t spsr[5] = {};
  uint32_t fpsr = 0;
  uint32_t fpcr = 0;
};

// Z, P and FFR at the largest VL there is; V n is the bottom of Z n.
struct VectorFile {
  uint8_t z[32][kMaxVlBytes] = {};
  uint8_t p[16][kMaxPlBytes] = {};
  uint8_t ffr[kMaxPlBytes] = {};
};

enum Feature : uint32_t {
  kPowerOff = 1u << 0,
  kEl1Is32Bit = 1u << 1,
  kPsci02 = 1u << 2,
  kPmuV3 = 1u << 3,
  kSve = 1u << 4,
  kPtrauthAddress = 1u << 5,
  kPtrauthGeneric = 1u << 6,
};
constexpr uint32_t kKnownFeatures = 0x7f;  // kernel 6.12: HAS_EL2 is not known yet
constexpr uint32_t kSupportedFeatures = kPowerOff | kPsci02 | kSve;

constexpr uint32_t kMpRunnable = 0;
constexpr uint32_t kMpStopped = 5;
constexpr uint32_t kMpSuspended = 10;

constexpr uint32_t kExitMmio = 6;
constexpr uint32_t kExitSystemEvent = 24;
constexpr uint32_t kEventShutdown = 1;
constexpr uint32_t kEventReset = 2;

constexpr uint64_t kAffinityMask = 0xff00ffffff;  // of MPIDR_EL1

constexpr int kFinalizeSve = 4;
constexpr uint32_t kTargetGenericV8 = 5;

class Vcpu;

// One virtual machine. Its RAM is host memory at the guest-physical address.
struct Vm {
  explicit Vm(const Host& machine) : host(machine) {}

  const Host& host;
  bool features_fixed = false;  // by the first vcpu that was initialised
  uint32_t features = 0;
  bool has_run = false;
  std::map<uint16_t, uint64_t> id_regs;  // values that user space wrote
  std::array<std::unique_ptr<Vcpu>, kSlots> vcpus;
  std::vector<Vcpu*> created;  // the same ones, in the order of their creation

  // KVM_CREATE_VCPU: 0 or an errno.
  int CreateVcpu(uint8_t slot);

  uint64_t ReadIdReg(uint16_t encoding) const;
  int WriteIdReg(uint16_t encoding, uint64_t value);
};

// What KVM_RUN leaves in struct kvm_run.
struct RunExit {
  uint32_t reason = 0;
  uint32_t is_write = 0;  // a system event's type
  uint64_t address = 0;   // a system event's flags
  uint64_t data = 0;
  uint32_t length = 0;
  bool timed_out = false;
};

class Vcpu {
 public:
  Vcpu(Vm& vm, uint8_t id) : vm_(vm), id_(id) {}

  // The ioctls return 0 or an errno.
  // `features`: seven words as the wire has them.
  int Init(uint32_t target, const uint8_t* features);
  int Finalize(int what);
  int SetReg(uint64_t id, const UserBuffer& buffer);
  int GetReg(uint64_t id, UserBuffer& buffer);
  // `n`: room in, number of registers out.
  int RegList(uint64_t* n, std::vector<uint64_t>* ids);
  int Run(bool immediate_exit, RunExit* exit);
  int SetMpState(uint32_t state);
  int SetEvents(const WireEvents& events);
  int GetEvents(WireEvents* events) const;

  // PSCI's CPU_ON of a stopped vcpu. Its registers change only when they are accessed or it runs.
  void TurnOn(uint64_t entry, uint64_t context, bool big_endian);
  uint64_t Affinity() const { return sysregs[MPIDR_EL1] & kAffinityMask; }

  // Ends an MMIO exit as KVM does at the next KVM_RUN.
  void CompleteMmio();

  bool HasSve() const { return (features_ & kSve) != 0; }
  bool HasPsci02() const { return (features_ & kPsci02) != 0; }
  int MaxVq() const { return HasSve() ? max_vq_ : 1; }
  uint32_t mp_state() const { return mp_state_; }
  Vm& vm() { return vm_; }

  // State that guest execution works on.
  CoreRegs core;
  VectorFile vectors;
  std::array<uint64_t, kSysRegCount> sysregs = {};

  bool serror_pending = false;

  // A load that left by MMIO and still wants its value.
  struct PendingMmio {
    bool load = false;
    uint8_t rt = 31;
  } pending;

 private:
  void Reset();
  void ResetIfAsked();
  void TakeExternalAbort();
  int SetCoreReg(uint64_t id, const UserBuffer& buffer);
  int GetCoreReg(uint64_t id, UserBuffer& buffer);
  int SetSveReg(uint64_t id, const UserBuffer& buffer);
  int GetSveReg(uint64_t id, UserBuffer& buffer);
  int SetVls(const UserBuffer& buffer);
  int GetVls(UserBuffer& buffer);
  int SetSystemReg(uint64_t id, const UserBuffer& buffer);
  int GetSystemReg(uint64_t id, UserBuffer& buffer);

  // Where a core register lives and how large it is; null for holes and for V registers of
  // SVE vcpus.
  struct Place {
    void* at = nullptr;
    size_t size = 0;
  };
  Place CorePlace(uint64_t word);
  int CheckCoreId(uint64_t id, Place* place);
  int CheckSveId(uint64_t id, Place* place);

  Vm& vm_;
  const uint8_t id_;
  bool initialised_ = false;
  bool finalized_ = false;
  uint32_t features_ = 0;
  uint32_t mp_state_ = kMpRunnable;
  int max_vq_ = 0;

  // KVM keeps the request to reset apart from where the reset vcpu is to start; any reset uses
  // up the latter, INIT's too, and INIT leaves the request behind.
  bool reset_asked_ = false;
  struct {
    bool valid = false;
    uint64_t pc = 0, context = 0;
    bool big_endian = false;
  } entry_;
};

}  // namespace emu
