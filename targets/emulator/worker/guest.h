// Guest execution: everything between KVM_RUN's entry and its exit.
#pragma once

namespace emu {

class Vcpu;
struct RunExit;

// Runs the vcpu until it exits; returns 0 or KVM_RUN's errno.
int RunGuest(Vcpu& vcpu, RunExit* exit);

// Call once, before any guest runs.
void PrepareGuestExecution();

}  // namespace emu
