#include "migrate.h"

#include <cerrno>

#include "read.h"

namespace emu {
namespace {

constexpr uint64_t kVlsId = 0x606000000015ffff;
constexpr uint64_t kMostListed = 1024;

struct Moved {
  uint64_t id;
  Observation source;
  int written = 0;
  Observation destination;
};

// A register whose GET failed has no value.
Bytes ValueOf(const Observation& read) {
  return read.err == 0 ? read.data : Bytes(read.data.size());
}

void PutValue(Bytes& out, const Bytes& value) {
  PutBytes(out, value.data(), value.size());
  out.resize(PadTo8(out.size()));
}

void PutRecord(Bytes& out, const Moved& moved) {
  const Bytes source = ValueOf(moved.source), destination = ValueOf(moved.destination);
  WireRecord head = {};
  head.id = moved.id;
  head.read = static_cast<uint32_t>(moved.source.err);
  head.written = static_cast<uint32_t>(moved.written);
  head.read_back = static_cast<uint32_t>(moved.destination.err);
  head.size = static_cast<uint32_t>(source.size());
  Put(out, head);
  PutValue(out, source);
  PutValue(out, destination);
}

bool Unchanged(const Moved& moved) {
  return moved.source.err == 0 && moved.written == 0 && moved.destination.err == 0 &&
         moved.source.data == moved.destination.data;
}

int Write(Vcpu& vcpu, const Moved& moved) {
  const Bytes& value = moved.source.data;
  return vcpu.SetReg(moved.id, UserBuffer::ForSet(value.data(), value.size(), 0));
}

// The destination up to FINALIZE: 0, or the errno of the stage that failed.
int Prepare(Vm& vm, const Op& op, const Moved* vls, Stage* stage) {
  *stage = Stage::kCreate;
  if (const int err = vm.CreateVcpu(static_cast<uint8_t>(op.a))) return err;
  Vcpu& vcpu = *vm.vcpus[op.a];
  *stage = Stage::kInit;
  const auto parameters = Take<WireInit>(op.payload);
  if (const int err = vcpu.Init(parameters.target, op.payload)) return err;
  if (vls == nullptr) return 0;
  *stage = Stage::kVls;
  if (vls->source.err != 0) return vls->source.err;
  if (const int err = Write(vcpu, *vls)) return err;
  *stage = Stage::kFinalize;
  return vcpu.Finalize(kFinalizeSve);
}

}  // namespace

Observation Migrate(Vm& vm, Vcpu* source, const Op& op) {
  Observation observation;
  Stage stage = Stage::kList;
  uint64_t room = kMostListed;
  std::vector<uint64_t> ids;
  std::vector<Moved> moved;
  const Moved* vls = nullptr;
  Bytes groups, records;
  uint64_t told = 0;

  observation.err = source != nullptr ? source->RegList(&room, &ids) : EBADF;
  if (observation.err == 0) {
    PutGroups(source, op.payload + sizeof(WireInit), op.size - sizeof(WireInit), groups);
    for (const uint64_t id : ids) moved.push_back({id, GetReg(source, id, 0), 0, {}});
    for (const Moved& one : moved) vls = one.id == kVlsId ? &one : vls;
    observation.err = Prepare(vm, op, vls, &stage);
  }
  if (observation.err == 0) {
    Vcpu& destination = *vm.vcpus[op.a];
    for (Moved& one : moved) {
      if (&one != vls && one.source.err == 0) one.written = Write(destination, one);
    }
    for (Moved& one : moved) {
      one.destination = GetReg(&destination, one.id, 0);
      if (&one == vls || Unchanged(one)) continue;
      PutRecord(records, one);
      told++;
    }
  } else {
    observation.aux = static_cast<uint64_t>(stage);
  }
  Put<uint64_t>(observation.data, groups.size());
  PutBytes(observation.data, groups.data(), groups.size());
  Put<uint64_t>(observation.data, ids.size());
  Put(observation.data, told);
  PutBytes(observation.data, records.data(), records.size());
  return observation;
}

}  // namespace emu
