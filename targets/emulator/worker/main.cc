// The worker: requests on standard input, responses on standard output, each after its
// length as u32. VIXL's own words go to standard error.
#include <sys/prctl.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "executor.h"
#include "guest.h"
#include "memory_fault.h"

namespace {

constexpr size_t kLargestRequest = 16 << 20;

[[noreturn]] void Refuse(const char* why) {
  std::fprintf(stderr, "emulator worker: %s\n", why);
  std::exit(2);
}

// "1,2,4" to a bit per vector length.
uint32_t ParseVqs(const char* text) {
  uint32_t vqs = 0;
  for (const char* at = text; *at != '\0';) {
    char* end;
    const long vq = std::strtol(at, &end, 10);
    if (end == at || vq < 1 || vq > emu::kMaxVq || (*end != '\0' && *end != ',')) {
      Refuse("--vq takes numbers from 1 to 16, separated by commas");
    }
    vqs |= 1u << (vq - 1);
    at = *end == ',' ? end + 1 : end;
  }
  if ((vqs & 1) == 0) Refuse("--vq must contain 1: every SVE machine has 128 bits");
  return vqs;
}

emu::Host ParseOptions(int argc, char** argv) {
  emu::Host host;
  for (int i = 1; i < argc; i += 2) {
    const std::string name = argv[i];
    if (i + 1 == argc) Refuse("every option takes a value");
    const char* value = argv[i + 1];
    if (name == "--vq") {
      host.vqs = ParseVqs(value);
    } else if (name == "--tail" && (!std::strcmp(value, "keep") || !std::strcmp(value, "zero"))) {
      host.zero_tails = value[0] == 'z';
    } else if (name == "--steps") {
      host.step_limit = std::strtoull(value, nullptr, 10);
    } else {
      Refuse("options are --tail keep|zero, --vq 1,2,4 and --steps N");
    }
  }
  return host;
}

bool ReadExactly(int fd, void* to, size_t n) {
  auto* at = static_cast<uint8_t*>(to);
  while (n > 0) {
    const ssize_t got = read(fd, at, n);
    if (got <= 0) return false;
    at += got;
    n -= static_cast<size_t>(got);
  }
  return true;
}

bool WriteExactly(int fd, const void* from, size_t n) {
  const auto* at = static_cast<const uint8_t*>(from);
  while (n > 0) {
    const ssize_t put = write(fd, at, n);
    if (put <= 0) return false;
    at += put;
    n -= static_cast<size_t>(put);
  }
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  const emu::Host host = ParseOptions(argc, argv);
  // VIXL prints to stdout before it aborts; keep that out of the responses.
  const int out = dup(STDOUT_FILENO);
  dup2(STDERR_FILENO, STDOUT_FILENO);
  std::setvbuf(stdout, nullptr, _IONBF, 0);
  if (!emu::MapRam()) Refuse("guest RAM at 0x40000000 cannot be mapped");
  emu::CatchGuestFaults();
  emu::PrepareGuestExecution();
  emu::Bytes request;
  uint32_t size;
  while (ReadExactly(STDIN_FILENO, &size, sizeof(size))) {
    if (size > kLargestRequest) Refuse("request too large");
    request.resize(size);
    if (!ReadExactly(STDIN_FILENO, request.data(), size)) break;
    const emu::Bytes response = emu::Serve(host, request);
    const auto length = static_cast<uint32_t>(response.size());
    if (!WriteExactly(out, &length, sizeof(length))) break;
    if (!WriteExactly(out, response.data(), response.size())) break;
  }
  return 0;
}
