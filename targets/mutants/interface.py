"""Mutants of the vcpu interface."""

from __future__ import annotations

from corpus import registers as regs
from corpus.ops import Finalize, GetReg, Init, Op, SetReg, SetVls
from targets.model.expect import Outcome, Part, Permitted
from targets.model.model import Model
from targets.model.sets import exact


def _succeeds(permitted: Permitted) -> Permitted:
    return Permitted(permitted.rule, (Outcome(),))


class FinalizeTwice(Model):
    """FINALIZE of a finalised vcpu returns 0."""

    def step(self, op: Op) -> Permitted:
        permitted = super().step(op)
        twice = isinstance(op, Finalize) and permitted.rule == "finalize.twice"
        return _succeeds(permitted) if twice else permitted


class ReinitKeepsZ(Model):
    """INIT of a finalised vcpu forgets to clear the Z registers."""

    def step(self, op: Op) -> Permitted:
        vcpu = self.vm.vcpus.get(op.vcpu) if isinstance(op, Init) else None
        kept = list(vcpu.z) if vcpu and vcpu.finalised else None
        permitted = super().step(op)
        if vcpu and kept and permitted.rule == "init.again":
            vcpu.z[:] = kept
        return permitted


class VlsSurvivesReinit(Model):
    """INIT before FINALIZE leaves a written SVE_VLS in force."""

    def step(self, op: Op) -> Permitted:
        vcpu = self.vm.vcpus.get(op.vcpu) if isinstance(op, Init) else None
        max_vq = vcpu.max_vq if vcpu and vcpu.initialised and vcpu.sve else None
        permitted = super().step(op)
        if vcpu and max_vq and permitted.rule == "init.again":
            vcpu.max_vq = max_vq
        return permitted


class VlsAfterFinalize(Model):
    """Writing the present SVE_VLS again after FINALIZE succeeds."""

    def step(self, op: Op) -> Permitted:
        permitted = super().step(op)
        if isinstance(op, SetVls) and permitted.rule == "vls.after-finalize":
            present = self.profile.vqs & ((1 << self.vm.vcpus[op.vcpu].max_vq) - 1)
            return _succeeds(permitted) if op.vqs == present else permitted
        return permitted


class VlsIgnoresHost(Model):
    """SVE_VLS accepts sets with holes that the host does not have."""

    def step(self, op: Op) -> Permitted:
        permitted = super().step(op)
        if isinstance(op, SetVls) and permitted.rule == "vls.differs-from-host":
            self.vm.vcpus[op.vcpu].max_vq = op.vqs.bit_length()
            return _succeeds(permitted)
        return permitted


class VOnSve(Model):
    """The core V registers of an SVE vcpu alias the Z registers."""

    def step(self, op: Op) -> Permitted:
        permitted = super().step(op)
        if isinstance(op, GetReg) and permitted.rule == "core.v-on-sve" and op.reg in regs.V_IDS:
            value = self.vm.vcpus[op.vcpu].z[regs.V_IDS.index(op.reg)][0][0]
            part = Part("v", 16, exact(value & ((1 << 128) - 1)))
            return Permitted(permitted.rule, (Outcome(known_parts=(part,)),))
        return permitted


class PstateUnchecked(Model):
    """PSTATE accepts every mode."""

    def step(self, op: Op) -> Permitted:
        permitted = super().step(op)
        refused = permitted.rule.startswith("core.pstate") and permitted.outcomes[0].err
        return _succeeds(permitted) if isinstance(op, SetReg) and refused else permitted


class InitForgetsFeatures(Model):
    """The VM-wide agreement of features is not checked."""

    def step(self, op: Op) -> Permitted:
        if isinstance(op, Init):
            vcpu = self.vm.vcpus.get(op.vcpu)
            if vcpu and not vcpu.initialised:
                self.vm.features = None
        return super().step(op)
