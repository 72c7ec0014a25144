// The wire form of corpus/wire.py: requests in, traces out. All integers little-endian.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace emu {

using Bytes = std::vector<uint8_t>;

enum class Kind : uint16_t {
  kProbe,
  kCreateVcpu,
  kPreferredTarget,
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
  kCount,
};

constexpr size_t kFeatureBytes = 28;      // features[7] of INIT
constexpr size_t kInitBytes = kFeatureBytes + 4;  // features[7] and target of MIGRATE
constexpr size_t kMappedBytes = 0x10000;  // of a user buffer without an edge

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

enum class Status : uint32_t { kDone = 0, kMalformed = 1, kFull = 2 };

// Appends `value` in little-endian order.
template <typename T>
void Put(Bytes& out, T value) {
  for (size_t i = 0; i < sizeof(T); i++) out.push_back(static_cast<uint8_t>(value >> (8 * i)));
}

void PutBytes(Bytes& out, const void* from, size_t n);

// Reads a T at `at`; the caller has checked the bounds.
template <typename T>
T Take(const uint8_t* at) {
  T value = 0;
  for (size_t i = 0; i < sizeof(T); i++) value |= static_cast<T>(at[i]) << (8 * i);
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
