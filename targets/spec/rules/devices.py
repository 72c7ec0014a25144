"""Rules about attributes of vcpus and VMs, and about what user space switches on."""

from __future__ import annotations

from targets.spec.rules.rule import LAST, Rule, table

TABLE: tuple[Rule, ...] = (
    *table(
        {
            "attr.group": ("ABI", "guest.c", "a group of attributes that no vcpu has gives ENXIO"),
            "attr.unknown": (
                "ABI",
                "vcpu.rst 1-3",
                "an attribute that its group lacks gives ENXIO",
            ),
            "attr.none": (
                "IMPL",
                "api.rst 4.79",
                "a machine without such attributes gives ENXIO for each",
            ),
            "attr.has": ("ABI", "api.rst 4.80", "what a vcpu has of attributes is told with 0"),
            "attr.timer-irq": (
                "ABI",
                "vcpu.rst 2, arm_arch_timer.h",
                "the timers' interrupts are PPI 27 and 30 unless user space chose others",
            ),
            "attr.timer-no-gic": (
                "IMPL",
                "arch_timer.c",
                "without an interrupt controller of KVM's no interrupt of a timer can be chosen",
            ),
            "attr.timer-chosen": (
                "IMPL",
                "arch_timer.c",
                "with one it can until the first run, as far as the number is a PPI's",
            ),
            "attr.pvtime-get": (
                "IMPL",
                "pvtime.c",
                "the address of stolen time is all ones until one was set",
            ),
            "attr.pvtime-unaligned": (
                "ABI",
                "vcpu.rst 3",
                "an address of stolen time that is not 64-byte aligned gives EINVAL",
            ),
            "attr.pvtime-twice": ("ABI", "vcpu.rst 3", "setting it again gives EEXIST"),
            "attr.pvtime-outside": (
                "IMPL",
                "pvtime.c",
                "one where the VM has no memory gives EINVAL",
            ),
            "attr.pvtime-set": ("ABI", "vcpu.rst 3", "any other is taken"),
            "attr.no-pmu": ("ABI", "vcpu.rst 1", "setting up the PMU of a vcpu without: ENODEV"),
            "attr.pmu-twice": ("ABI", "vcpu.rst 1.2", "a PMU that was set up gives EBUSY"),
            "attr.pmu-no-gic": (
                "ABI",
                "vcpu.rst 1.1",
                "without an interrupt controller of KVM's a PMU has no interrupt: EINVAL",
            ),
            "attr.pmu-init": (
                "ABI",
                "vcpu.rst 1.2",
                "without one the PMU can be set up, and the vcpu then runs",
            ),
            "attr.pmu-other": (
                "IMPL",
                "pmu-emul.c",
                "filters of events and PMUs of the host are taken as the host has them",
            ),
            "gic.none": ("ABI", "api.rst 4.79", "a machine without GICv3 gives ENODEV"),
            "gic.twice": ("ABI", "api.rst 4.79", "a second interrupt controller gives EEXIST"),
            "gic.after-run": (
                "IMPL",
                "vgic-init.c, kvm_vgic_create",
                "one that is made after a vcpu ran gives EBUSY",
            ),
            "gic.made": ("ABI", "arm-vgic-v3.rst", "before, a VM gets the one it asks for"),
            "gic.no-more-vcpus": (
                "IMPL",
                "arm.c, kvm_arch_vcpu_precreate",
                "behind its initialisation no vcpu is created: EBUSY",
            ),
            "gic.any-id": (
                "ABI",
                "arm-vgic-v3.rst, api.rst 4.7",
                "a vcpu runs beside it whose id is not below the number of vcpus",
            ),
            "gic.serves": (
                "ABI",
                "arm-vgic-v3.rst, vgic-mmio-v3.c",
                "KVM answers a guest that reads its distributor without an exit to user space",
            ),
            "filter.malformed": (
                "ABI",
                "vm.rst 5",
                "no functions, more than there are, or no known action: EINVAL",
            ),
            "filter.after-run": ("ABI", "vm.rst 5", "a filter after the first run gives EBUSY"),
            "filter.overlap": (
                "ABI",
                "vm.rst 5",
                "a filter of functions that have one gives EEXIST",
            ),
            "filter.reserved": (
                "ABI",
                "vm.rst 5, hypercalls.c",
                "functions of the architecture, of the fast calling convention, have one",
            ),
            "filter.set": ("ABI", "vm.rst 5", "any other filter is taken"),
            "enable.flags": ("ABI", "api.rst 4.37", "ENABLE_CAP with flags gives EINVAL"),
            "enable.unknown": ("ABI", "api.rst 4.37", "what the VM cannot enable gives EINVAL"),
            "enable.late-split": (
                "IMPL",
                "arm.c",
                "the size of eager splits is not changed where there is memory: EINVAL",
            ),
            "enable.enabled": ("ABI", "api.rst 7", "what can be enabled is"),
            "enable.nisv-exit": (
                "ABI",
                "api.rst 5, KVM_EXIT_ARM_NISV",
                "an abort without syndrome then goes to user space instead of failing the run",
            ),
        }
    ),
    Rule(
        "filter.none",
        "IMPL",
        "arm.c",
        "VMs of older kernels have no attributes: EINVAL",
        until=(6, 3),
    ),
    Rule(
        "attr.pmu-strict",
        "IMPL",
        "pmu-emul.c",
        "with PMU_V3_STRICT there is no PMU to set up before user space chose one: ENXIO",
        since=(7, 3),
    ),
    Rule("attr.el2-timers", "IMPL", "vcpu.rst 2", "EL2's timers have attributes", (6, 4), LAST),
)
