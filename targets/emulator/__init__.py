"""The JIT-free emulator: a small hypervisor in C++ over VIXL's AArch64 interpreter.

`worker/` is a program of its own: it keeps a VM's state as KVM does (kernel 6.12), lets
VIXL execute single instructions and decides everything else itself: traps, exceptions,
vector length, system registers, which accesses leave RAM. It shares no rule with
`targets.model`. `build` compiles it, `transport` runs it, `legs` names it.

What it does not model: stage 1 translation (with SCTLR_EL1.M set every fetch aborts),
big-endian data (SCTLR_EL1.EE), interrupts and timers, debug, firmware and timer registers
of ONE_REG, hypercalls other than PSCI. Loads and stores through a misaligned SP with
SCTLR_EL1.SA clear end the worker, because VIXL aborts.
What VIXL itself gets wrong is left as it is: those are findings.
"""
