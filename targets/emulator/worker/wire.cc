#include "wire.h"

namespace emu {
namespace {

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

bool BlockFits(const WireBlock& block) {
  return block.span <= kBlockLimit && block.vl <= kVlLimit;
}

bool ListsFit(const WireLists& lists) {
  return lists.first <= lists.span && lists.span <= kBlockLimit;
}

// What the form of each kind demands of its payload and arguments.
bool OpWellFormed(const Op& op) {
  switch (op.kind) {
    case Kind::kInit:
      return op.size == kFeatureBytes;
    case Kind::kSetReg:
      return op.size <= kBufferSize && op.b <= 1 + kBufferSize;
    case Kind::kGetReg:
      return op.b <= 1 + kBufferSize;
    case Kind::kDeviceAttr:
      return op.size == sizeof(uint64_t) && op.a < static_cast<uint64_t>(Ask::kCount);
    case Kind::kSmcccFilter:
      return op.size == sizeof(WireFilter);
    case Kind::kSetEvents:
      return op.size == sizeof(WireEvents);
    case Kind::kRun:
      return op.size <= kCodeSize;
    case Kind::kReadAll:
      return GroupsFit(op.payload, op.size);
    case Kind::kHostRun:
      return op.size <= kCodeSize && op.b >> kSvcrShift <= (kSvcrSm | kSvcrZa);
    case Kind::kDisturb:
      return op.size == sizeof(WireBlock) && op.a < static_cast<uint64_t>(Stranger::kCount) &&
             op.b <= kDelayLimit && BlockFits(Take<WireBlock>(op.payload));
    case Kind::kThreads:
      return op.size == sizeof(WireLists) && op.b <= kDelayLimit &&
             ListsFit(Take<WireLists>(op.payload));
    case Kind::kMigrate:
      return op.size >= sizeof(WireInit) && op.a < kSlots &&
             GroupsFit(op.payload + sizeof(WireInit), op.size - sizeof(WireInit));
    default:
      return true;
  }
}

}  // namespace

void PutBytes(Bytes& out, const void* from, size_t n) {
  const auto* bytes = static_cast<const uint8_t*>(from);
  out.insert(out.end(), bytes, bytes + n);
}

bool ParseRequest(const Bytes& request, std::vector<Op>* ops) {
  if (request.size() < sizeof(WireRequest)) return false;
  const uint8_t* base = request.data();
  const auto head = Take<WireRequest>(base);
  if (head.magic != kRequestMagic) return false;
  if (head.total < sizeof(head) || head.total > request.size()) return false;
  size_t at = sizeof(head);
  for (uint32_t i = 0; i < head.count; i++) {
    if (head.total < at + sizeof(WireOp)) return false;
    const auto wire = Take<WireOp>(base + at);
    at += sizeof(wire);
    if (wire.kind >= static_cast<uint16_t>(Kind::kCount)) return false;
    if (head.total - at < PadTo8(wire.size)) return false;
    const Op op = {static_cast<Kind>(wire.kind), wire.vcpu, wire.a, wire.b, base + at, wire.size};
    if (!OpWellFormed(op) || (op.kind == Kind::kProbe && head.count != 1)) return false;
    ops->push_back(op);
    at += PadTo8(wire.size);
  }
  return at == head.total;
}

Response::Response() : bytes_(sizeof(WireResponse)) {}

bool Response::Add(const Op& op, const Observation& observation) {
  const size_t size = observation.data.size();
  if (bytes_.size() + sizeof(WireObservation) + PadTo8(size) > kLimit) return false;
  WireObservation head = {};
  head.kind = static_cast<uint16_t>(op.kind);
  head.vcpu = op.slot;
  head.err = static_cast<uint32_t>(observation.err);
  head.aux = observation.aux;
  head.size = static_cast<uint32_t>(size);
  Put(bytes_, head);
  PutBytes(bytes_, observation.data.data(), size);
  bytes_.resize(PadTo8(bytes_.size()));
  count_++;
  return true;
}

Bytes Response::Finish(Status status) {
  const WireResponse head = {kResponseMagic, static_cast<uint32_t>(bytes_.size()), count_,
                             static_cast<uint32_t>(status)};
  std::memcpy(bytes_.data(), &head, sizeof(head));
  return std::move(bytes_);
}

}  // namespace emu
