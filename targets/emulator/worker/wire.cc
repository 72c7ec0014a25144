#include "wire.h"

#include "host.h"

namespace emu {
namespace {

constexpr uint32_t kRequestMagic = 0x31434656;
constexpr uint32_t kResponseMagic = 0x31544656;
constexpr size_t kHeader = 16;
constexpr size_t kOpHeader = 24;
constexpr size_t kObservationHeader = 24;

// Groups of ids: u32 count | u32 0 | count x u64.
bool GroupsFit(const uint8_t* at, size_t size) {
  while (size != 0) {
    if (size < 8) return false;
    const size_t count = Take<uint32_t>(at);
    if (count > (size - 8) / 8) return false;
    at += 8 + 8 * count;
    size -= 8 + 8 * count;
  }
  return true;
}

// What the form of each kind demands of its payload and arguments.
bool OpWellFormed(const Op& op) {
  switch (op.kind) {
    case Kind::kInit:
      return op.size == kFeatureBytes;
    case Kind::kSetReg:
      return op.size <= kMappedBytes && op.b <= 1 + kMappedBytes;
    case Kind::kGetReg:
      return op.b <= 1 + kMappedBytes;
    case Kind::kRun:
      return op.size <= kCodeSize;
    case Kind::kReadAll:
      return GroupsFit(op.payload, op.size);
    case Kind::kHostRun:
      return op.size <= kCodeSize && op.b <= 0xffff;
    case Kind::kMigrate:
      return op.size >= kInitBytes && op.a < 256 &&
             GroupsFit(op.payload + kInitBytes, op.size - kInitBytes);
    default:
      return true;
  }
}

void Poke32(Bytes& out, size_t at, uint32_t value) {
  for (size_t i = 0; i < 4; i++) out[at + i] = static_cast<uint8_t>(value >> (8 * i));
}

}  // namespace

void PutBytes(Bytes& out, const void* from, size_t n) {
  const auto* bytes = static_cast<const uint8_t*>(from);
  out.insert(out.end(), bytes, bytes + n);
}

bool ParseRequest(const Bytes& request, std::vector<Op>* ops) {
  if (request.size() < kHeader) return false;
  const uint8_t* base = request.data();
  const size_t total = Take<uint32_t>(base + 4);
  const uint32_t count = Take<uint32_t>(base + 8);
  if (Take<uint32_t>(base) != kRequestMagic) return false;
  if (total < kHeader || total > request.size()) return false;
  size_t at = kHeader;
  for (uint32_t i = 0; i < count; i++) {
    if (total < at + kOpHeader) return false;
    const uint16_t kind = Take<uint16_t>(base + at);
    const size_t size = Take<uint32_t>(base + at + 4);
    if (kind >= static_cast<uint16_t>(Kind::kCount)) return false;
    if (total - at - kOpHeader < PadTo8(size)) return false;
    const Op op = {static_cast<Kind>(kind),         base[at + 2],
                   Take<uint64_t>(base + at + 8),   Take<uint64_t>(base + at + 16),
                   base + at + kOpHeader,           size};
    if (!OpWellFormed(op) || (op.kind == Kind::kProbe && count != 1)) return false;
    ops->push_back(op);
    at += kOpHeader + PadTo8(size);
  }
  return at == total;
}

Response::Response() : bytes_(kHeader) {}

bool Response::Add(const Op& op, const Observation& observation) {
  const size_t size = observation.data.size();
  if (bytes_.size() + kObservationHeader + PadTo8(size) > kLimit) return false;
  Put<uint16_t>(bytes_, static_cast<uint16_t>(op.kind));
  Put<uint8_t>(bytes_, op.slot);
  Put<uint8_t>(bytes_, 0);
  Put<uint32_t>(bytes_, static_cast<uint32_t>(observation.err));
  Put<uint64_t>(bytes_, observation.aux);
  Put<uint32_t>(bytes_, static_cast<uint32_t>(size));
  Put<uint32_t>(bytes_, 0);
  PutBytes(bytes_, observation.data.data(), size);
  bytes_.resize(PadTo8(bytes_.size()));
  count_++;
  return true;
}

Bytes Response::Finish(Status status) {
  Poke32(bytes_, 0, kResponseMagic);
  Poke32(bytes_, 4, static_cast<uint32_t>(bytes_.size()));
  Poke32(bytes_, 8, count_);
  Poke32(bytes_, 12, static_cast<uint32_t>(status));
  return std::move(bytes_);
}

}  // namespace emu
