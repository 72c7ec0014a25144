#include "cpu.h"

#include <cerrno>
#include <memory>

#include "guest.h"
#include "pstate.h"
#include "translation.h"

namespace emu {

using vixl::aarch64::Decoder;
using vixl::aarch64::Instruction;

namespace {

struct Decoders {
  Decoder executing;
  Repertoire repertoire;
};

// Decoders are slow to build (3 ms) and hold no state of a guest.
Decoders& SharedDecoders() {
  static Decoders decoders;
  return decoders;
}

bool IsSve(uint32_t word) { return (word >> 25 & 0xf) == 2; }

bool IsFpOrSimd(uint32_t word) {
  const bool data_processing = (word >> 25 & 7) == 7;
  const bool load_store = (word >> 25 & 5) == 4 && (word >> 26 & 1) != 0;
  return data_processing || load_store;
}

constexpr uint32_t kWrffrMask = 0xfffffe1f;
constexpr uint32_t kWrffr = 0x25289000;

}  // namespace

void PrepareGuestExecution() { SharedDecoders(); }

int RunGuest(Vcpu& vcpu, RunExit* exit) {
  Decoders& decoders = SharedDecoders();
  // Fresh for each run: VIXL's exclusive monitors and its source of arbitrary values then
  // depend on nothing but the case.
  const auto cpu = std::make_unique<Cpu>(vcpu, &decoders.executing, &decoders.repertoire);
  return cpu->Run(exit);
}

Cpu::Cpu(Vcpu& vcpu, Decoder* decoder, Repertoire* repertoire)
    : Simulator(decoder, stderr), vcpu_(vcpu), host_(vcpu.vm().host), repertoire_(repertoire) {
  SilenceExclusiveAccessWarning();
}

// VIXL's destructor leaves the decoder pointing at the simulator.
Cpu::~Cpu() { decoder_->RemoveVisitor(this); }

int Cpu::Run(RunExit* exit) {
  exit_ = exit;
  Load();
  while (!stop_.stopped) {
    if (steps_++ == host_.step_limit) {
      RunOutOfTime();
      break;
    }
    Step();
  }
  if (fp_loaded_) SaveFpState();
  Store();
  return stop_.err;
}

void Cpu::Load() {
  for (unsigned i = 0; i < 31; i++) SetX(i, vcpu_.core.x[i]);
  SetPstate(vcpu_.core.pstate & kPstateMask);
  pc_next_ = vcpu_.core.pc;
}

void Cpu::Store() {
  CoreRegs& core = vcpu_.core;
  for (unsigned i = 0; i < 31; i++) core.x[i] = X(i);
  core.pstate = Pstate();
  BankSp();
  core.pc = pc_next_;
}

void Cpu::Step() {
  pc_now_ = pc_next_;
  pc_next_ += 4;
  if (vcpu_.serror_pending && (pstate_ & kSErrorMask) == 0) return TakeSError();
  if ((pstate_ & kIllegal) != 0) return TakeException(0x3a000000, pc_now_);
  if (pc_now_ % 4 != 0) return TakeFault(0x8a000000, pc_now_);
  if (const uint64_t esr = FetchFault()) return TakeFault(esr, pc_now_);
  uint32_t word;
  std::memcpy(&word, reinterpret_cast<const void*>(pc_now_), sizeof(word));
  Execute(word);
}

// The syndrome of fetching at the PC, 0 if it is in RAM.
uint64_t Cpu::FetchFault() const {
  constexpr uint64_t kInstructionAbort = 0x86000000, kExternal = 0x10;
  const uint64_t fault = StageOneFault(vcpu_.sysregs, El(), pc_now_, Use::kFetch);
  if (fault != 0) return kInstructionAbort | fault;
  if (pc_now_ >> kPaBits != 0) return kInstructionAbort;
  return pc_now_ - kRamBase < kRamSize ? 0 : kInstructionAbort | kExternal;
}

void Cpu::RunOutOfTime() {
  exit_->timed_out = true;
  FinishWith(EINTR);
}

void Cpu::Execute(uint32_t word) {
  if ((word & 0xffc00000) == 0xd5000000) return SystemInstruction(word);
  if ((word & 0xff000000) == 0xd4000000) return ExceptionInstruction(word);
  if ((word & 0xfe000000) == 0xd6000000) return BranchToRegister(word);
  if ((word >> 25 & 0xf) == 0) return TakeUndefined();  // UDF, SME
  pc_ = reinterpret_cast<const Instruction*>(pc_now_);
  if (!repertoire_->Knows(pc_)) return TakeUndefined();
  if (IsSve(word)) {
    if (!EnterSve()) return;
  } else if (IsFpOrSimd(word) && !EnterFp()) {
    return;
  }
  if (IsSveMemory(word)) return ExecuteSveMemory(word);
  if ((word & kWrffrMask) == kWrffr) return WriteFfr(word >> 5 & 15);
  if (!AccessAllowed(word)) return;
  ExecuteByVixl();
}

void Cpu::ExecuteByVixl() {
  if (!DecodeAndExecute()) return TakeUndefined();
  const bool branched = pc_modified_;
  pc_next_ = branched ? reinterpret_cast<uint64_t>(pc_) : pc_now_ + 4;
}

// False if VIXL finds the encoding undefined.
bool Cpu::DecodeAndExecute() {
  undefined_ = false;
  pc_modified_ = false;
  movprfx_ = nullptr;  // what may follow MOVPRFX is the case's affair, not worth an abort
  pc_ = reinterpret_cast<const Instruction*>(pc_now_);
  decoder_->Decode(pc_);
  return !undefined_;
}

// WRFFR: VIXL aborts on a value that is not monotonic; the architecture makes FFR UNKNOWN.
void Cpu::WriteFfr(unsigned pn) { ffr_register_ = pregisters_[pn]; }

// BR, BLR, RET: done here since VIXL would drop the target's top byte.
void Cpu::BranchToRegister(uint32_t word) {
  if (word == 0xd69f03e0) return ExceptionReturn();
  const uint32_t form = word & 0xfffffc1f;
  const uint64_t target = X(word >> 5 & 31);
  if (form == 0xd63f0000) {
    SetX(30, pc_now_ + 4);
  } else if (form != 0xd61f0000 && form != 0xd65f0000) {
    return TakeUndefined();
  }
  pc_next_ = target;
}

}  // namespace emu
