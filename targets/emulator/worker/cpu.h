// One run of a guest: VIXL executes instructions, everything a hypervisor or the exception
// model decides is decided here.
#pragma once

#include <vixl/aarch64/simulator-aarch64.h>

#include "repertoire.h"
#include "sve_access.h"
#include "vcpu.h"

namespace emu {

// Why the interpreter stops.
struct Stop {
  bool stopped = false;
  int err = 0;
};

class Cpu : public vixl::aarch64::Simulator {
 public:
  Cpu(Vcpu& vcpu, vixl::aarch64::Decoder* decoder, Repertoire* repertoire);
  ~Cpu();
  int Run(RunExit* exit);

  void VisitUnallocated(const vixl::aarch64::Instruction*) override { undefined_ = true; }
  void VisitUnimplemented(const vixl::aarch64::Instruction*) override { undefined_ = true; }

 private:
  // cpu.cc: fetch, dispatch, execution by VIXL.
  void Load();
  void Store();
  void Step();
  void Execute(uint32_t word);
  void ExecuteByVixl();
  bool DecodeAndExecute();
  void BranchToRegister(uint32_t word);
  void WriteFfr(unsigned pn);
  void FinishWith(int err) { stop_ = {true, err}; }
  void RunOutOfTime();
  uint64_t FetchFault() const;
  uint64_t X(unsigned n) const { return static_cast<uint64_t>(ReadXRegister(n)); }
  void SetX(unsigned n, uint64_t value) { WriteXRegister(n, static_cast<int64_t>(value)); }

  // memory.cc: accesses that leave RAM, or that stage 1 stops.
  AddressRegs Addresses() const;
  bool AccessAllowed(uint32_t word);
  bool SveAccessAllowed(uint32_t word);
  bool MisalignedSp();
  bool Misaligned(uint64_t address, uint64_t unit, bool always, bool write);
  bool StoppedByMap(uint64_t address, uint64_t size, bool write);
  void LeaveByAccess(const Access& access);
  void ZeroBlock(uint64_t address);
  void ExecuteSveMemory(uint32_t word);

  // exception.cc: entry to EL1 and return from it.
  unsigned El() const { return (pstate_ & 0xf) == 0 ? 0 : 1; }
  uint64_t Pstate();
  void SetPstate(uint64_t value);
  void BankSp();
  void TakeException(uint64_t esr, uint64_t preferred_return);
  void TakeFault(uint64_t esr, uint64_t address);
  void TakeSError();
  void TakeUndefined() { TakeException(uint64_t{1} << 25, pc_now_); }
  void ExceptionReturn();
  void ExceptionInstruction(uint32_t word);

  // firmware.cc: calls to the hypervisor.
  void CallFirmware();
  uint64_t CpuOn(uint64_t affinity, uint64_t entry, uint64_t context);
  uint64_t AffinityInfo(uint64_t affinity, uint64_t lowest_level) const;
  void AnswerCall(uint64_t result);
  void LeaveByEvent(uint32_t type, uint64_t flags);

  // system.cc: MRS, MSR, hints, barriers, cache maintenance.
  void SystemInstruction(uint32_t word);
  void TrapSystem();
  void SetPstateField(uint32_t word);
  void WriteSpSel(uint64_t value);
  void Hint(uint32_t word);
  void Maintenance(uint32_t word);
  void ReadSystemReg(uint16_t encoding, unsigned rt);
  void WriteSystemReg(uint16_t encoding, unsigned rt);
  bool AccessibleFromEl0(uint16_t encoding, bool read);
  bool ReadSpecial(uint16_t encoding, uint64_t* value);
  bool WriteSpecial(uint16_t encoding, uint64_t value);

  // fp_state.cc: traps, lazy loading, vector length.
  bool FpEnabled() const;
  bool SveEnabled() const;
  bool EnterFp();
  bool EnterSve();
  void LoadFpState();
  void SaveFpState();
  int EffectiveVq() const;
  void AdoptVectorLength();
  void CopyInVectors();
  void CopyOutVectors();
  void ClearTails(int vq);
  void ClearTailsOnException();
  void WriteZcr(uint64_t value);

  Vcpu& vcpu_;
  const Host& host_;
  Repertoire* const repertoire_;

  uint64_t pstate_ = 0;   // without NZCV, which VIXL holds
  uint64_t pc_now_ = 0;   // of the instruction being executed
  uint64_t pc_next_ = 0;
  uint32_t word_now_ = 0;  // set where a trap needs its syndrome
  bool undefined_ = false;
  bool fp_loaded_ = false;
  int vq_ = 1;            // that VIXL works at
  uint64_t steps_ = 0;
  uint64_t timer_ = 0;    // CNTV_CTL_EL0: its time is there as soon as it is on
  RunExit* exit_ = nullptr;
  Stop stop_;

  // VIXL's vector state before an access that may fault.
  struct {
    uint8_t z[sizeof(vregisters_)];
    uint8_t p[sizeof(pregisters_)];
    uint8_t ffr[sizeof(ffr_register_)];
  } saved_;
};

}  // namespace emu
