// The wire form of corpus/wire.py: requests in, traces out. All integers little-endian.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "records of the wire form are little-endian and copied as they are"
#endif

namespace emu {

using Bytes = std::vector<uint8_t>;

constexpr uint32_t kRequestMagic = 0x31434656;
constexpr uint32_t kResponseMagic = 0x31544656;

constexpr uint64_t kRamBase = 0x40000000;
constexpr uint64_t kRamSize = 0x10000;
constexpr uint64_t kVectorBase = kRamBase;
constexpr uint64_t kCodeBase = kRamBase + 0x1000;
constexpr uint64_t kCodeSize = 0x3000;

constexpr size_t kSlots = 256;
constexpr uint8_t kOtherSlot = 3;  // of the vcpu that is another VM's
constexpr size_t kBufferSize = 0x10000;  // mapped bytes of a user buffer without an edge
constexpr uint8_t kFill = 0x5a;          // what GET finds its buffer full of
constexpr size_t kLargestReg = 256;      // bytes
constexpr uint64_t kRoomExact = 0xffff;  // of REG_LIST: as many ids as there are
constexpr uint64_t kVlLimit = 0xffff;    // of a VL asked for; above it are prctl's flags
constexpr uint64_t kSvcrShift = 16;      // of HOST_RUN's `b`, above the VL
constexpr uint64_t kSvcrSm = 1;
constexpr uint64_t kSvcrZa = 2;
constexpr uint64_t kDelayLimit = 0xffffff;  // `b` of DISTURB and THREADS, ns
constexpr uint64_t kBlockLimit = 0xffff;    // ops in a block

constexpr uint64_t kRunImmediate = 1;    // of RUN's `a`
constexpr uint32_t kRunNotRunnable = 1;  // of WireRun::flags
constexpr uint32_t kRunTimedOut = 2;

enum class Kind : uint16_t {
  kProbe,
  kCreateVcpu,
  kPrefTarget,
  kInit,
  kFinalize,
  kSetReg,
  kGetReg,
  kRegList,
  kRun,
  kReadAll,
  kSetMp,
  kGetMp,
  kReadMem,
  kWriteMem,
  kHostRun,
  kMigrate,
  kDisturb,
  kThreads,
  kSetEvents,
  kGetEvents,
  kDeviceAttr,
  kSmcccFilter,
  kEnableCap,
  kCreateVm,
  kCreateGic,
  kCount,
};

// DISTURB's `a`.
enum class Stranger : uint64_t { kSoftirq, kThread, kSignal, kMove, kStep, kCount };

enum class Status : uint32_t { kOk = 0, kMalformed = 1, kFull = 2 };

// At which a migration can fail.
enum class Stage : uint64_t { kList = 1, kCreate, kInit, kVls, kFinalize };

struct WireRequest {
  uint32_t magic, total, count, flags;
};

struct WireOp {
  uint16_t kind;
  uint8_t vcpu, zero;
  uint32_t size;
  uint64_t a, b;
};

struct WireResponse {
  uint32_t magic, total, count, status;
};

struct WireObservation {
  uint16_t kind;
  uint8_t vcpu, zero;
  uint32_t err;
  uint64_t aux;
  uint32_t size, pad;
};

// Data of RUN.
struct WireRun {
  uint32_t reason, is_write;
  uint64_t address, value;
  uint32_t length, flags;
};

// Payload of MIGRATE before its groups of register ids.
struct WireInit {
  uint32_t features[7];
  uint32_t target;
};

// DEVICE_ATTR's a.
enum class Ask : uint64_t { kHas, kGet, kSet, kCount };

// Payload of SMCCC_FILTER.
struct WireFilter {
  uint32_t base, count, action;
};

// Payload of SET_EVENTS and data of GET_EVENTS: struct kvm_vcpu_events.
struct WireEvents {
  uint8_t serror_pending, serror_has_esr, ext_dabt_pending, pad_first;
  uint32_t pad_rest;
  uint64_t serror_esr;
  uint32_t reserved[12];
};

// Payload of DISTURB.
struct WireBlock {
  uint32_t span, vl;
};

// Payload of THREADS: how many ops, and how many of them are the first list.
struct WireLists {
  uint32_t span, first;
};

// A register that did not arrive unchanged; both values follow, each padded to 8.
struct WireRecord {
  uint64_t id;
  uint32_t read, written, read_back;
  uint32_t size;
};

static_assert(sizeof(WireRequest) == 16 && sizeof(WireResponse) == 16, "headers");
static_assert(sizeof(WireOp) == 24 && sizeof(WireObservation) == 24, "per op");
static_assert(sizeof(WireRun) == 32 && sizeof(WireInit) == 32 && sizeof(WireRecord) == 24, "data");
static_assert(sizeof(WireEvents) == 64, "events");

constexpr size_t kFeatureBytes = sizeof(WireInit::features);

struct Op {
  Kind kind;
  uint8_t slot;
  uint64_t a;
  uint64_t b;
  const uint8_t* payload;  // points into the request
  size_t size;
};

struct Observation {
  int err = 0;
  uint64_t aux = 0;
  Bytes data;
};

inline Observation Failed(int err) {
  Observation observation;
  observation.err = err;
  return observation;
}

void PutBytes(Bytes& out, const void* from, size_t n);

// Appends a number or a record.
template <typename T>
void Put(Bytes& out, const T& value) {
  PutBytes(out, &value, sizeof(T));
}

// Reads a T at `at`, a number or a record; the caller has checked the bounds.
template <typename T>
T Take(const uint8_t* at) {
  T value;
  std::memcpy(&value, at, sizeof(T));
  return value;
}

inline size_t PadTo8(size_t n) { return (n + 7) & ~size_t{7}; }

// Takes a request apart; false if it does not follow the form. Checks every op first, so that
// a malformed request executes nothing.
bool ParseRequest(const Bytes& request, std::vector<Op>* ops);

// Builds one response; observations beyond `kLimit` bytes are refused.
class Response {
 public:
  static constexpr size_t kLimit = 1 << 20;

  Response();
  bool Add(const Op& op, const Observation& observation);
  Bytes Finish(Status status);

 private:
  Bytes bytes_;
  uint32_t count_ = 0;
};

}  // namespace emu
