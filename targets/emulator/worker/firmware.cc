// Hypervisor calls: SMCCC and PSCI as KVM answers them (6.12: psci.c, hypercalls.c).
#include <algorithm>
#include <cstdint>

#include "cpu.h"

namespace emu {
namespace {

enum class Call {
  kWorkaround,
  kSmcccVersion,
  kPsciVersion,
  kPsciFeatures,
  kCpuSuspend,
  kCpuOff,
  kCpuOn,
  kAffinityInfo,
  kMigrateInfoType,
  kSystemOff,
  kSystemReset,
  kSystemReset2,
};

struct Function {
  uint32_t id;
  Call call;
  bool narrow = false;  // looks at the low halves of its arguments
};

// ARCH_WORKAROUND_1 to 3, which KVM's exception vector answers by itself.
constexpr Function kWorkarounds[] = {
    {0x80008000, Call::kWorkaround},
    {0x80007fff, Call::kWorkaround},
    {0x80003fff, Call::kWorkaround},
};

// With the feature PSCI_0_2: PSCI 1.1, and SMCCC's own version.
constexpr Function kPsci11[] = {
    {0x80000000, Call::kSmcccVersion},
    {0x84000000, Call::kPsciVersion},
    {0x84000001, Call::kCpuSuspend},
    {0xc4000001, Call::kCpuSuspend},
    {0x84000002, Call::kCpuOff},
    {0x84000003, Call::kCpuOn, true},
    {0xc4000003, Call::kCpuOn},
    {0x84000004, Call::kAffinityInfo, true},
    {0xc4000004, Call::kAffinityInfo},
    {0x84000006, Call::kMigrateInfoType},
    {0x84000008, Call::kSystemOff},
    {0x84000009, Call::kSystemReset},
    {0x8400000a, Call::kPsciFeatures},
    {0x84000012, Call::kSystemReset2, true},
    {0xc4000012, Call::kSystemReset2},
};

// Without it: KVM's own function ids of PSCI 0.1.
constexpr Function kPsci01[] = {
    {0x80000000, Call::kSmcccVersion},
    {0x95c1ba5f, Call::kCpuOff},
    {0x95c1ba60, Call::kCpuOn},
};

template <size_t n>
const Function* Find(const Function (&table)[n], uint32_t id) {
  const auto* row = std::find_if(table, table + n, [id](const auto& f) { return f.id == id; });
  return row == table + n ? nullptr : row;
}

constexpr uint64_t Code(int64_t value) { return static_cast<uint64_t>(value); }
constexpr uint64_t kSuccess = 0;
constexpr uint64_t kNotSupported = Code(-1);
constexpr uint64_t kInvalidParameters = Code(-2);
constexpr uint64_t kAlreadyOn = Code(-4);
constexpr uint64_t kInternalFailure = Code(-6);

constexpr uint64_t kVersion11 = 0x10001;  // of PSCI and of SMCCC
constexpr uint64_t kOn = 0, kOff = 1;     // AFFINITY_INFO
constexpr uint64_t kNoMigration = 2;      // MIGRATE_INFO_TYPE

constexpr uint64_t kFlagReset2 = 1;           // of KVM_SYSTEM_EVENT_RESET
constexpr uint32_t kVendorReset = 0x80000000;  // first reset type that is a vendor's

}  // namespace

void Cpu::CallFirmware() {
  ClearTailsOnException();
  const auto id = static_cast<uint32_t>(X(0));
  const Function* function = Find(kWorkarounds, id);
  if (function == nullptr) {
    function = vcpu_.HasPsci02() ? Find(kPsci11, id) : Find(kPsci01, id);
  }
  if (function == nullptr) return AnswerCall(kNotSupported);
  if (function->narrow) {
    for (unsigned i = 1; i < 4; i++) SetX(i, static_cast<uint32_t>(X(i)));
  }
  const auto argument = static_cast<uint32_t>(X(1));
  switch (function->call) {
    case Call::kWorkaround:
      SetX(0, kSuccess);
      return SetX(1, 0);
    case Call::kSmcccVersion:
    case Call::kPsciVersion:
      return AnswerCall(kVersion11);
    case Call::kPsciFeatures:
      return AnswerCall(Find(kPsci11, argument) != nullptr ? kSuccess : kNotSupported);
    case Call::kCpuOff:
      vcpu_.SetMpState(kMpStopped);
      [[fallthrough]];
    case Call::kCpuSuspend:  // nothing will ever wake it
      RunOutOfTime();
      return AnswerCall(kSuccess);
    case Call::kCpuOn:
      return AnswerCall(CpuOn(X(1), X(2), X(3)));
    case Call::kAffinityInfo:
      return AnswerCall(AffinityInfo(X(1), X(2)));
    case Call::kMigrateInfoType:
      return AnswerCall(kNoMigration);
    case Call::kSystemOff:
      LeaveByEvent(kEventShutdown, 0);
      return AnswerCall(kInternalFailure);  // for a guest that is run again all the same
    case Call::kSystemReset:
      LeaveByEvent(kEventReset, 0);
      return AnswerCall(kInternalFailure);
    case Call::kSystemReset2:
      if (argument != 0 && argument < kVendorReset) return AnswerCall(kInvalidParameters);
      LeaveByEvent(kEventReset, kFlagReset2);
      return SetX(0, kInternalFailure);  // here KVM leaves the other registers alone
  }
}

void Cpu::AnswerCall(uint64_t result) {
  SetX(0, result);
  for (unsigned i = 1; i < 4; i++) SetX(i, 0);
}

uint64_t Cpu::CpuOn(uint64_t affinity, uint64_t entry, uint64_t context) {
  if ((affinity & ~kAffinityMask) != 0) return kInvalidParameters;
  const auto& all = vcpu_.vm().created;
  const auto target = std::find_if(all.begin(), all.end(), [affinity](const Vcpu* vcpu) {
    return vcpu->Affinity() == affinity;
  });
  if (target == all.end()) return kInvalidParameters;
  if ((*target)->mp_state() != kMpStopped) {
    return vcpu_.HasPsci02() ? kAlreadyOn : kInvalidParameters;
  }
  (*target)->TurnOn(entry, context, (vcpu_.sysregs[SCTLR_EL1] & kSctlrEe) != 0);
  return kSuccess;
}

uint64_t Cpu::AffinityInfo(uint64_t affinity, uint64_t lowest_level) const {
  if ((affinity & ~kAffinityMask) != 0 || lowest_level > 3) return kInvalidParameters;
  const uint64_t mask = kAffinityMask & ~((uint64_t{1} << 8 * lowest_level) - 1);
  uint64_t state = kInvalidParameters;
  for (const Vcpu* vcpu : vcpu_.vm().created) {
    if (((vcpu->Affinity() ^ affinity) & mask) != 0) continue;
    if (vcpu->mp_state() != kMpStopped) return kOn;
    state = kOff;
  }
  return state;
}

// No vcpu runs again until user space has seen to it.
void Cpu::LeaveByEvent(uint32_t type, uint64_t flags) {
  for (Vcpu* vcpu : vcpu_.vm().created) vcpu->SetMpState(kMpStopped);
  exit_->reason = kExitSystemEvent;
  exit_->is_write = type;
  exit_->address = flags;
  FinishWith(0);
}

}  // namespace emu
