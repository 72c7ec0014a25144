#include "read.h"

#include <cerrno>

namespace emu {

Observation GetReg(Vcpu* vcpu, uint64_t id, uint64_t b) {
  const size_t size = size_t{1} << (id >> 52 & 0xf);
  UserBuffer buffer = UserBuffer::ForGet(b, std::min(size, kLargestReg));
  Observation observation = Failed(vcpu != nullptr ? vcpu->GetReg(id, buffer) : EBADF);
  observation.data = buffer.TakeBytes();
  return observation;
}

void PutGroups(Vcpu* vcpu, const uint8_t* groups, size_t size, Bytes& out) {
  for (size_t at = 0; at < size;) {
    const uint64_t count = Take<uint32_t>(groups + at);
    at += 8;
    for (uint64_t i = 0; i < count; i++) {
      const Observation seen = GetReg(vcpu, Take<uint64_t>(groups + at + 8 * i), 0);
      const size_t shown = seen.err != 0 ? 0 : seen.data.size();
      Put<uint32_t>(out, static_cast<uint32_t>(seen.err));
      Put<uint32_t>(out, static_cast<uint32_t>(shown));
      PutBytes(out, seen.data.data(), shown);
      out.resize(PadTo8(out.size()));
      if (i == 0 && seen.err != 0) break;
    }
    at += 8 * count;
  }
}

}  // namespace emu
