// User memory as the kernel's copy routines meet it: mapped up to an edge, a fault beyond.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "wire.h"

namespace emu {

// `b` of SET_REG and GET_REG: 0 maps 64 KiB, 1 + n maps n bytes.
class UserBuffer {
 public:
  // The buffer of a SET: payload, then zeros.
  static UserBuffer ForSet(const uint8_t* payload, size_t size, uint64_t b) {
    UserBuffer buffer(b);
    buffer.bytes_.assign(payload, payload + std::min(size, buffer.mapped_));
    return buffer;
  }

  // The buffer of a GET: `shown` bytes of kFill are kept for the observation.
  static UserBuffer ForGet(uint64_t b, size_t shown) {
    UserBuffer buffer(b);
    buffer.bytes_.assign(b == 0 ? shown : buffer.mapped_, kFill);
    return buffer;
  }

  // copy_from_user: false on a fault; what could not be read is zero in `to`.
  bool CopyIn(void* to, size_t n) const {
    const size_t readable = std::min(n, mapped_);
    const size_t filled = std::min(readable, bytes_.size());
    std::memset(to, 0, n);
    std::memcpy(to, bytes_.data(), filled);
    return readable == n;
  }

  // copy_to_user at offset `at`: false on a fault; what fits below the edge is written.
  bool CopyOut(size_t at, const void* from, size_t n) {
    const size_t writable = at < mapped_ ? std::min(n, mapped_ - at) : 0;
    const size_t kept = at < bytes_.size() ? std::min(writable, bytes_.size() - at) : 0;
    if (kept != 0) std::memcpy(bytes_.data() + at, from, kept);
    return writable == n;
  }

  // put_user: one access, all or nothing.
  bool PutWhole(const void* from, size_t n) { return n <= mapped_ && CopyOut(0, from, n); }

  Bytes TakeBytes() { return std::move(bytes_); }

 private:
  explicit UserBuffer(uint64_t b)
      : mapped_(b == 0 ? kBufferSize : std::min<size_t>(b - 1, kBufferSize)) {}

  size_t mapped_;
  Bytes bytes_;
};

}  // namespace emu
