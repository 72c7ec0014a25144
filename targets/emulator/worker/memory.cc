// Accesses that leave RAM. Ordinary loads and stores are decoded before VIXL sees them;
// SVE ones are left to fault in the host's memory.
#include <csetjmp>
#include <csignal>
#include <cerrno>

#include "cpu.h"
#include "memory_fault.h"

namespace emu {
namespace {

sigjmp_buf* volatile guest_access = nullptr;
volatile uint64_t fault_address = 0;
volatile bool fault_address_known = false;

constexpr uint64_t kSpAlignment = 0x9a000000;  // EC 0x26, IL
constexpr uint64_t kDataAbort = 0x96000000;    // EC 0x25, IL
constexpr uint64_t kExternalAbort = 0x10;
constexpr uint64_t kWriteNotRead = 1 << 6;

// An address whose dereference always faults on the host, whatever is added to it.
constexpr uint64_t kPoison = 0x0080000000000000;

void OnFault(int number, siginfo_t* info, void*) {
  if (guest_access == nullptr) {  // not the guest's doing: die of it
    std::signal(number, SIG_DFL);
    return;
  }
  fault_address_known = info->si_code > 0 && info->si_code != SI_KERNEL;
  fault_address = reinterpret_cast<uint64_t>(info->si_addr);
  siglongjmp(*guest_access, 1);
}

bool InRam(uint64_t address, uint64_t size) {
  return address >= kRamBase && size <= kRamSize && address - kRamBase <= kRamSize - size;
}

// Vector-plus-immediate gathers and scatters have no general-purpose base.
bool HasScalarBase(uint32_t word) {
  const uint32_t group = word >> 25, form = word >> 13 & 7;
  if (group == 0x52) return true;
  if (group == 0x72) return !(form == 5 && (word >> 22 & 1) != 0);
  const uint32_t mid = word >> 21 & 3;
  return !(mid == 1 && form >= 4) && !(mid == 0 && form == 7);
}

bool IsSveStore(uint32_t word) { return word >> 25 == 0x72; }

}  // namespace

void CatchGuestFaults() {
  struct sigaction action = {};
  action.sa_sigaction = OnFault;
  action.sa_flags = SA_SIGINFO | SA_NODEFER;
  sigaction(SIGSEGV, &action, nullptr);
  sigaction(SIGBUS, &action, nullptr);
}

// False when the access left RAM or trapped; then it has been dealt with.
bool Cpu::AccessAllowed(uint32_t word) {
  if ((word >> 25 & 5) != 4) return true;
  AddressRegs regs;
  for (unsigned i = 0; i < 31; i++) regs.x[i] = X(i);
  regs.x[31] = X(vixl::aarch64::kSPRegInternalCode);
  regs.pc = pc_now_;
  const std::optional<Access> access = DecodeAccess(word, regs);
  if (!access) return true;
  if (access->sp_base && MisalignedSp()) return false;
  if (InRam(access->address, access->size)) return true;
  LeaveByAccess(*access);
  return false;
}

bool Cpu::MisalignedSp() {
  const uint64_t sp = X(vixl::aarch64::kSPRegInternalCode);
  const uint64_t check = El() == 0 ? kSctlrSa0 : kSctlrSa;
  if (sp % 16 == 0 || (vcpu_.sysregs[SCTLR_EL1] & check) == 0) return false;
  TakeException(kSpAlignment, pc_now_);
  return true;
}

void Cpu::LeaveByAccess(const Access& access) {
  const uint64_t faulting = InRam(access.address, 1) ? kRamBase + kRamSize : access.address;
  if (faulting >> kPaBits != 0) {
    return TakeFault(kDataAbort | (access.write ? kWriteNotRead : 0), faulting);
  }
  if (faulting >> kIpaBits != 0) return TakeFault(kDataAbort | kExternalAbort, faulting);
  pc_next_ = pc_now_;
  if (!access.syndrome) return FinishWith(ENOSYS);
  const uint64_t mask = access.size == 8 ? ~uint64_t{0} : (uint64_t{1} << 8 * access.size) - 1;
  const uint64_t stored = access.rt == 31 ? 0 : X(access.rt) & mask;
  exit_->reason = kExitMmio;
  exit_->is_write = access.write;
  exit_->address = faulting;
  exit_->data = access.write ? stored : 0;
  exit_->length = access.size;
  vcpu_.pending = {!access.write, access.rt};
  FinishWith(0);
}

void Cpu::ZeroBlock(uint64_t address) {
  if (InRam(address, 64)) {
    std::memset(reinterpret_cast<void*>(address), 0, 64);
    return;
  }
  Access access;
  access.address = address;
  access.size = 64;
  access.write = true;
  LeaveByAccess(access);
}

void Cpu::ExecuteSveMemory(uint32_t word) {
  const unsigned rn = word >> 5 & 31;
  const bool scalar = HasScalarBase(word);
  if (scalar && rn == 31 && MisalignedSp()) return;
  const uint64_t base = scalar && rn != 31 ? X(rn) : 0;
  const bool beyond = base >> kPaBits != 0;  // VIXL would ignore the top byte
  // All that VIXL may have changed when the access faults.
  std::memcpy(saved_.z, static_cast<const void*>(vregisters_), sizeof(vregisters_));
  std::memcpy(saved_.p, static_cast<const void*>(pregisters_), sizeof(pregisters_));
  std::memcpy(saved_.ffr, static_cast<const void*>(&ffr_register_), sizeof(ffr_register_));
  if (beyond) SetX(rn, (base & 0xffffffffffff) | kPoison);
  sigjmp_buf landing;
  if (sigsetjmp(landing, 0) == 0) {
    guest_access = &landing;
    ExecuteByVixl();
    guest_access = nullptr;
    if (beyond) SetX(rn, base);
    return;
  }
  guest_access = nullptr;
  std::memcpy(static_cast<void*>(vregisters_), saved_.z, sizeof(vregisters_));
  std::memcpy(static_cast<void*>(pregisters_), saved_.p, sizeof(pregisters_));
  std::memcpy(static_cast<void*>(&ffr_register_), saved_.ffr, sizeof(ffr_register_));
  if (beyond) SetX(rn, base);
  Access access;
  access.write = IsSveStore(word);
  access.address = beyond ? base : fault_address_known ? fault_address : ~uint64_t{0};
  LeaveByAccess(access);
}

}  // namespace emu
