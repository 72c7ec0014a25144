// Accesses that leave RAM or that stage 1 stops: addresses are computed before VIXL dereferences
// them.
#include <sys/mman.h>

#include <csetjmp>
#include <csignal>
#include <cerrno>
#include <cstdio>

#include "cpu.h"
#include "memory_fault.h"
#include "translation.h"

namespace emu {
namespace {

sigjmp_buf* volatile guest_access = nullptr;
volatile uint64_t fault_address = 0;
volatile bool fault_address_known = false;

constexpr uint64_t kSpAlignment = 0x9a000000;  // EC 0x26, IL
constexpr uint64_t kDataAbort = 0x96000000;    // EC 0x25, IL
constexpr uint64_t kExternalAbort = 0x10;
constexpr uint64_t kAlignmentFault = 0x21;
constexpr uint64_t kWriteNotRead = 1 << 6;

void OnFault(int number, siginfo_t* info, void*) {
  if (guest_access == nullptr) {  // not the guest's doing: die of it
    std::signal(number, SIG_DFL);
    raise(number);  // it may have been sent, and would not come again
  }
  fault_address_known = info->si_code > 0 && info->si_code != SI_KERNEL;
  fault_address = reinterpret_cast<uint64_t>(info->si_addr);
  siglongjmp(*guest_access, 1);
}

bool InRam(uint64_t address, uint64_t size) {
  return address >= kRamBase && size <= kRamSize && address - kRamBase <= kRamSize - size;
}

// Pages of RAM that a guest may not load from are out of VIXL's reach, too, as long as this lives:
// first-fault and no-fault loads then stop where they have to.
class Hidden {
 public:
  Hidden(const std::array<uint64_t, kSysRegCount>& regs, unsigned el) {
    if ((regs[SCTLR_EL1] & kSctlrM) == 0) return;
    for (uint64_t page = kRamBase; page < kRamBase + kRamSize; page += kPageSize) {
      if (StageOneFault(regs, el, page, Use::kLoad) != 0) pages_[count_++] = page;
    }
    Protect(PROT_NONE);  // tables among them
  }

  void Show() { Protect(PROT_READ | PROT_WRITE); }

 private:
  void Protect(int how) {
    for (size_t i = 0; i < count_; i++) {
      mprotect(reinterpret_cast<void*>(pages_[i]), kPageSize, how);
    }
  }

  uint64_t pages_[kRamSize / kPageSize];
  size_t count_ = 0;
};

}  // namespace

void CatchGuestFaults() {
  struct sigaction action = {};
  action.sa_sigaction = OnFault;
  action.sa_flags = SA_SIGINFO | SA_NODEFER;
  sigaction(SIGSEGV, &action, nullptr);
  sigaction(SIGBUS, &action, nullptr);
}

AddressRegs Cpu::Addresses() const {
  AddressRegs regs;
  for (unsigned i = 0; i < 31; i++) regs.x[i] = X(i);
  regs.x[31] = X(vixl::aarch64::kSPRegInternalCode);
  regs.pc = pc_now_;
  return regs;
}

// False when the access left RAM or trapped; then it has been dealt with.
bool Cpu::AccessAllowed(uint32_t word) {
  if ((word >> 25 & 5) != 4) return true;
  const std::optional<Access> access = DecodeAccess(word, Addresses());
  if (!access) return true;
  if (access->sp_base && MisalignedSp()) return false;
  if (Misaligned(access->address, access->element, access->aligned, access->write)) return false;
  if (StoppedByMap(access->address, access->size, access->write)) return false;
  if (InRam(access->address, access->size)) return true;
  LeaveByAccess(*access);
  return false;
}

bool Cpu::SveAccessAllowed(uint32_t word) {
  const VectorView view = {
      GetVectorLengthInBytes(),
      [this](unsigned n, unsigned lane, unsigned bytes) -> uint64_t {
        return bytes == 4 ? vregisters_[n].GetLane<uint32_t>(static_cast<int>(lane))
                          : vregisters_[n].GetLane<uint64_t>(static_cast<int>(lane));
      },
      [this](unsigned n, unsigned bit) { return pregisters_[n].GetBit(static_cast<int>(bit)); },
  };
  const SveAccess access = DecodeSveAccess(word, Addresses(), view);
  if (access.sp_base && MisalignedSp()) return false;
  for (const SveAccess::Element& element : access.elements) {
    if (Misaligned(element.address, access.alignment, false, access.write)) return false;
    if (StoppedByMap(element.address, element.size, access.write)) return false;
    if (InRam(element.address, element.size)) continue;
    Access faulting;
    faulting.address = element.address;
    faulting.size = static_cast<uint32_t>(element.size);
    faulting.write = access.write;
    LeaveByAccess(faulting);
    return false;
  }
  return true;
}

bool Cpu::MisalignedSp() {
  const uint64_t sp = X(vixl::aarch64::kSPRegInternalCode);
  const uint64_t check = El() == 0 ? kSctlrSa0 : kSctlrSa;
  if (sp % 16 == 0 || (vcpu_.sysregs[SCTLR_EL1] & check) == 0) return false;
  TakeException(kSpAlignment, pc_now_);
  return true;
}

// True when the access took an alignment fault.
bool Cpu::Misaligned(uint64_t address, uint64_t unit, bool always, bool write) {
  if (address % unit == 0) return false;
  if (!always && (vcpu_.sysregs[SCTLR_EL1] & kSctlrA) == 0) return false;
  TakeFault(kDataAbort | kAlignmentFault | (write ? kWriteNotRead : 0), address);
  return true;
}

// True when the access took a fault of stage 1.
bool Cpu::StoppedByMap(uint64_t address, uint64_t size, bool write) {
  uint64_t step;
  for (uint64_t done = 0; done < size; done += step) {
    const uint64_t at = address + done;  // it may go around the end of all addresses
    step = kPageSize - at % kPageSize;
    const uint64_t fault =
        StageOneFault(vcpu_.sysregs, El(), at, write ? Use::kStore : Use::kLoad);
    if (fault == 0) continue;
    TakeFault(kDataAbort | fault | (write ? kWriteNotRead : 0), at);
    return true;
  }
  return false;
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
  if (StoppedByMap(address, 64, true)) return;
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

// Should VIXL go to another address than the architecture has it, the host's memory faults:
// then the vector registers are as before, and the guest's access is the one VIXL made.
void Cpu::ExecuteSveMemory(uint32_t word) {
  if (!SveAccessAllowed(word)) return;
  std::memcpy(saved_.z, static_cast<const void*>(vregisters_), sizeof(vregisters_));
  std::memcpy(saved_.p, static_cast<const void*>(pregisters_), sizeof(pregisters_));
  std::memcpy(saved_.ffr, static_cast<const void*>(&ffr_register_), sizeof(ffr_register_));
  Hidden hidden(vcpu_.sysregs, El());
  sigjmp_buf landing;
  if (sigsetjmp(landing, 0) == 0) {
    guest_access = &landing;
    ExecuteByVixl();
    guest_access = nullptr;
    hidden.Show();
    return;
  }
  guest_access = nullptr;
  hidden.Show();
  std::memcpy(static_cast<void*>(vregisters_), saved_.z, sizeof(vregisters_));
  std::memcpy(static_cast<void*>(pregisters_), saved_.p, sizeof(pregisters_));
  std::memcpy(static_cast<void*>(&ffr_register_), saved_.ffr, sizeof(ffr_register_));
  Access access;
  access.address = fault_address_known ? fault_address : ~uint64_t{0};
  std::fprintf(stderr, "VIXL took %08x to %#llx, which its operands do not name\n", word,
               static_cast<unsigned long long>(access.address));
  access.write = word >> 25 == 0x72;
  LeaveByAccess(access);
}

}  // namespace emu
