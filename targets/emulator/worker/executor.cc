#include "executor.h"

#include <sys/mman.h>

#include <cerrno>
#include <cstring>

#include "migrate.h"
#include "probe.h"
#include "read.h"
#include "vcpu.h"

namespace emu {
namespace {

uint8_t* Ram() { return reinterpret_cast<uint8_t*>(kRamBase); }

// All zero but the vectors: entry i stores to VECTOR_MMIO + 8 * i.
void ClearRam() {
  std::memset(Ram(), 0, kRamSize);
  for (uint32_t i = 0; i < 16; i++) {
    const uint32_t code[] = {
        0xd2aa001e,                           // movz x30, #0x5000, lsl #16
        0xf280001e | (0x100 + 8 * i) << 5,    // movk x30, #(0x100 + 8 * i)
        0xf90003de,                           // str x30, [x30]
    };
    std::memcpy(Ram() + (kVectorBase - kRamBase) + 0x80 * i, code, sizeof(code));
  }
}

constexpr uint64_t kPcId = 0x6030000000100040;
constexpr uint64_t kVbarId = 0x6030000000130000 | Encode(3, 0, 12, 0, 0);

// The VM of one request.
class Execution {
 public:
  explicit Execution(const Host& host) : vm_(host) {}

  Observation Do(const Op& op);

 private:
  Vm vm_;
};

Observation Text(const std::string& text) {
  Observation observation;
  PutBytes(observation.data, text.data(), text.size());
  return observation;
}

Observation RegList(Vcpu* vcpu, const Op& op) {
  uint64_t n = op.a;
  std::vector<uint64_t> ids;
  const uint64_t less = kRoomExact - n;
  if (less <= 1) n = 0;
  int error = vcpu != nullptr ? vcpu->RegList(&n, &ids) : EBADF;
  if (less <= 1 && error == E2BIG) {
    n -= less;
    error = vcpu->RegList(&n, &ids);
  }
  Observation observation = Failed(error);
  Put(observation.data, n);
  for (const uint64_t id : ids) Put(observation.data, id);
  return observation;
}

// SET_ONE_REG of a u64 from well-mapped memory.
int SetU64(Vcpu& vcpu, uint64_t id, uint64_t value) {
  Bytes bytes;
  Put(bytes, value);
  return vcpu.SetReg(id, UserBuffer::ForSet(bytes.data(), bytes.size(), 0));
}

Observation Run(Vcpu* vcpu, const Op& op) {
  RunExit exit;
  Observation observation = Failed(EBADF);
  observation.aux = uint64_t{EBADF} << 32 | EBADF;
  bool not_runnable = false;
  std::memcpy(Ram() + (kCodeBase - kRamBase), op.payload, op.size);
  if (vcpu != nullptr) {
    const uint64_t pc_err = SetU64(*vcpu, kPcId, kCodeBase);
    observation.aux = static_cast<uint64_t>(SetU64(*vcpu, kVbarId, kVectorBase)) << 32 | pc_err;
    not_runnable = vcpu->mp_state() != kMpRunnable;
    observation.err = vcpu->Run((op.a & kRunImmediate) != 0 || not_runnable, &exit);
  }
  WireRun seen = {};
  seen.flags = (not_runnable ? kRunNotRunnable : 0) | (exit.timed_out ? kRunTimedOut : 0);
  if (observation.err != 0) exit = RunExit();
  if (exit.reason == kExitMmio) vcpu->CompleteMmio();
  seen.reason = exit.reason;
  seen.is_write = exit.is_write;
  seen.address = exit.address;
  seen.value = exit.data;
  seen.length = exit.length;
  Put(observation.data, seen);
  return observation;
}

Observation ReadAll(Vcpu* vcpu, const Op& op) {
  Observation observation = Failed(vcpu != nullptr ? 0 : EBADF);
  PutGroups(vcpu, op.payload, op.size, observation.data);
  return observation;
}

Observation GetMp(Vcpu* vcpu) {
  Observation observation = Failed(vcpu != nullptr ? 0 : EBADF);
  if (vcpu != nullptr) Put(observation.data, vcpu->mp_state());
  return observation;
}

Observation SetEvents(Vcpu* vcpu, const Op& op) {
  return Failed(vcpu != nullptr ? vcpu->SetEvents(Take<WireEvents>(op.payload)) : EBADF);
}

Observation GetEvents(const Vcpu* vcpu) {
  WireEvents events = {};
  Observation observation = Failed(vcpu != nullptr ? vcpu->GetEvents(&events) : EBADF);
  if (observation.err == 0) Put(observation.data, events);
  return observation;
}

Observation ReadMem(const Op& op) {
  Observation observation;
  if (op.a < kRamSize) {
    PutBytes(observation.data, Ram() + op.a, std::min<uint64_t>(op.b, kRamSize - op.a));
  }
  return observation;
}

Observation WriteMem(const Op& op) {
  if (op.a < kRamSize) {
    std::memcpy(Ram() + op.a, op.payload, std::min<uint64_t>(op.size, kRamSize - op.a));
  }
  return {};
}

Observation Execution::Do(const Op& op) {
  Vcpu* const vcpu = vm_.vcpus[op.slot].get();
  const auto on_vcpu = [vcpu](auto ioctl) { return Failed(vcpu != nullptr ? ioctl() : EBADF); };
  switch (op.kind) {
    case Kind::kProbe:
      return Text(ProbeText(vm_.host));
    case Kind::kCreateVcpu:
      return Failed(op.slot == kOtherSlot ? EOPNOTSUPP : vm_.CreateVcpu(op.slot));
    case Kind::kPrefTarget: {
      Observation observation;
      Put(observation.data, kTargetGenericV8);
      observation.data.resize(4 + kFeatureBytes);
      return observation;
    }
    case Kind::kInit:
      return on_vcpu([&] { return vcpu->Init(static_cast<uint32_t>(op.a), op.payload); });
    case Kind::kFinalize:
      return on_vcpu([&] { return vcpu->Finalize(static_cast<int>(op.a)); });
    case Kind::kSetReg:
      return on_vcpu([&] {
        return vcpu->SetReg(op.a, UserBuffer::ForSet(op.payload, op.size, op.b));
      });
    case Kind::kGetReg:
      return GetReg(vcpu, op.a, op.b);
    case Kind::kRegList:
      return RegList(vcpu, op);
    case Kind::kRun:
      return Run(vcpu, op);
    case Kind::kReadAll:
      return ReadAll(vcpu, op);
    case Kind::kSetMp:
      return on_vcpu([&] { return vcpu->SetMpState(static_cast<uint32_t>(op.a)); });
    case Kind::kGetMp:
      return GetMp(vcpu);
    case Kind::kSetEvents:
      return SetEvents(vcpu, op);
    case Kind::kGetEvents:
      return GetEvents(vcpu);
    case Kind::kDeviceAttr:  // it has no such devices, and nothing to enable
      return Failed(vcpu != nullptr ? ENXIO : EBADF);
    case Kind::kSmcccFilter:
      return Failed(ENXIO);
    case Kind::kEnableCap:
      return Failed(EINVAL);
    case Kind::kCreateVm:  // it has ordinary VMs
      return Failed(vm_.created.empty() ? EINVAL : EEXIST);
    case Kind::kCreateGic:  // nor any devices
      return Failed(ENODEV);
    case Kind::kReadMem:
      return ReadMem(op);
    case Kind::kWriteMem:
      return WriteMem(op);
    case Kind::kHostRun:  // this process has no SVE of its own
      return Failed(EOPNOTSUPP);
    case Kind::kDisturb:  // nothing goes on beside it
    case Kind::kThreads:  // what follows is done in turn
      return Failed(EOPNOTSUPP);
    case Kind::kMigrate:
      return Migrate(vm_, vcpu, op);
    case Kind::kCount:
      break;
  }
  return Failed(EINVAL);  // not reached: the request was checked
}

}  // namespace

bool MapRam() {
  void* const wanted = reinterpret_cast<void*>(kRamBase);
  return mmap(wanted, kRamSize, PROT_READ | PROT_WRITE,
              MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == wanted;
}

Bytes Serve(const Host& host, const Bytes& request) {
  Response response;
  std::vector<Op> ops;
  if (!ParseRequest(request, &ops)) return response.Finish(Status::kMalformed);
  ClearRam();
  Execution execution(host);
  for (const Op& op : ops) {
    if (!response.Add(op, execution.Do(op))) return response.Finish(Status::kFull);
  }
  return response.Finish(Status::kOk);
}

}  // namespace emu
