"""Mutants of the vcpu interface."""

from __future__ import annotations

from corpus import registers as regs
from corpus.ops import FEATURE_SVE, Finalize, GetReg, Init, Op, RegList, SetReg, SetVls
from targets.mutants.mutant import Change, Mutant, answering
from targets.spec.errno import EINVAL, ENOENT
from targets.spec.model import Model
from targets.spec.permitted import Outcome, Part, Permitted, fails, with_prefill
from targets.spec.sets import exact
from targets.spec.steps.lists import head
from targets.spec.steps.lives import POWER_OFF, initialise
from targets.spec.vcpu import Vcpu


def _succeeds(permitted: Permitted) -> Permitted:
    return Permitted(permitted.rule, (Outcome(),))


def _accepts(kind: type[Op], *rules: str) -> Change:
    """Ops of a kind that some rules refuse succeed."""

    def change(model: Model, op: Op, permitted: Permitted) -> Permitted:
        hit = isinstance(op, kind) and permitted.rule in rules and permitted.outcomes[0].err
        return _succeeds(permitted) if hit else permitted

    return change


class _ReinitKeepsZ(Model):
    def step(self, op: Op) -> Permitted:
        vcpu = self.vm.vcpus.get(op.vcpu) if isinstance(op, Init) else None
        kept = list(vcpu.z) if vcpu and vcpu.finalised else None
        permitted = super().step(op)
        if vcpu and kept and permitted.rule == "init.again":
            vcpu.z[:] = kept
        return permitted


class _VlsSurvivesReinit(Model):
    def step(self, op: Op) -> Permitted:
        vcpu = self.vm.vcpus.get(op.vcpu) if isinstance(op, Init) else None
        max_vq = vcpu.max_vq if vcpu and vcpu.initialised and vcpu.sve else None
        permitted = super().step(op)
        if vcpu and max_vq and permitted.rule == "init.again":
            vcpu.max_vq = max_vq
        return permitted


class _InitForgetsFeatures(Model):
    def step(self, op: Op) -> Permitted:
        if isinstance(op, Init):
            vcpu = self.vm.vcpus.get(op.vcpu)
            if vcpu and not vcpu.initialised:
                self.vm.features = None
        return super().step(op)


def _vls_after_finalize(model: Model, op: Op, permitted: Permitted) -> Permitted:
    if isinstance(op, SetVls) and permitted.rule == "vls.after-finalize":
        present = model.profile.vqs & ((1 << model.vm.vcpus[op.vcpu].max_vq) - 1)
        return _succeeds(permitted) if op.vqs == present else permitted
    return permitted


def _vls_ignores_host(model: Model, op: Op, permitted: Permitted) -> Permitted:
    if isinstance(op, SetVls) and permitted.rule == "vls.differs-from-host":
        model.vm.vcpus[op.vcpu].max_vq = op.vqs.bit_length()
        return _succeeds(permitted)
    return permitted


def _vls_shortest_only(model: Model, op: Op, permitted: Permitted) -> Permitted:
    wide = isinstance(op, SetVls) and op.vqs > 1
    return fails(permitted.rule, EINVAL) if wide and not permitted.outcomes[0].err else permitted


def _v_on_sve(model: Model, op: Op, permitted: Permitted) -> Permitted:
    if isinstance(op, GetReg) and permitted.rule == "core.v-on-sve" and op.reg in regs.V_IDS:
        value = model.vm.vcpus[op.vcpu].z[regs.V_IDS.index(op.reg)][0][0]
        part = Part("v", 16, exact(value & ((1 << 128) - 1)))
        return Permitted(permitted.rule, (Outcome(known_parts=(part,)),))
    return permitted


_INVALID_FEATURES = ("init.unsupported-feature", "init.half-ptrauth", "init.aarch32-el2")


def _init_sve_hides_error(model: Model, op: Op, permitted: Permitted) -> Permitted:
    if isinstance(op, Init) and op.features & FEATURE_SVE:
        return _accepts(Init, *_INVALID_FEATURES)(model, op, permitted)
    return permitted


def _failed_init_leaves_usable(model: Model, op: Op, permitted: Permitted) -> Permitted:
    if isinstance(op, Init) and permitted.rule in _INVALID_FEATURES:
        vcpu = model.vm.vcpus[op.vcpu]
        if not vcpu.initialised:
            initialise(model, vcpu, op.features & model.profile.features & ~POWER_OFF, 0)()
    return permitted


def _zfr0_hidden(model: Model, op: Op, permitted: Permitted) -> Permitted:
    if isinstance(op, GetReg) and permitted.rule == "id.zfr0-without-sve":
        return with_prefill(fails(permitted.rule, ENOENT), 8, model.rules)
    return permitted


def _lists_v(model: Model, op: Op, permitted: Permitted) -> Permitted:
    if isinstance(op, RegList) and permitted.rule == "reg-list.sve-block":
        count = Part("n", 8, exact(op.room))
        listed = Outcome(0, (count, *head(Vcpu())), open_ended=True)
        return Permitted(permitted.rule, (listed,))
    return permitted


INTERFACE: dict[str, Mutant] = {
    "finalize-twice": Mutant(
        "a second FINALIZE succeeds", answering(_accepts(Finalize, "finalize.twice"))
    ),
    "reinit-keeps-z": Mutant("INIT of a finalised vcpu does not clear Z", _ReinitKeepsZ),
    "vls-survives-reinit": Mutant("INIT before FINALIZE keeps the written VLS", _VlsSurvivesReinit),
    "vls-after-finalize": Mutant(
        "VLS of the same value is accepted after FINALIZE", answering(_vls_after_finalize)
    ),
    "vls-ignores-host": Mutant(
        "VLS does not compare with the host's lengths", answering(_vls_ignores_host)
    ),
    "vls-shortest-only": Mutant(
        "VLS with any length above 128 bits is refused (K4)", answering(_vls_shortest_only)
    ),
    "core-ids-unchecked": Mutant(
        "SET takes misaligned and oversized ids of core registers (K1)",
        answering(_accepts(SetReg, "core.hole", "core.size")),
    ),
    "v-on-sve": Mutant("V registers are readable on an SVE vcpu (K8)", answering(_v_on_sve)),
    "list-names-v": Mutant(
        "the list of an SVE vcpu has V registers, which GET refuses (K3)", answering(_lists_v)
    ),
    "pstate-unchecked": Mutant(
        "any PSTATE mode is accepted (K2)",
        answering(
            _accepts(
                SetReg,
                *("core.pstate-aarch32", "core.pstate-aarch32-user", "core.pstate-no-mode"),
                *("core.pstate-aarch64-refused", "core.pstate-el2-refused"),
            )
        ),
    ),
    "init-features-per-vcpu": Mutant("vcpus of a VM may differ in features", _InitForgetsFeatures),
    "init-sve-hides-error": Mutant(
        "INIT with SVE and a feature that cannot be returns 0 (K5)",
        answering(_init_sve_hides_error),
    ),
    "failed-init-leaves-usable": Mutant(
        "a vcpu can be used after its INIT failed (K7)", answering(_failed_init_leaves_usable)
    ),
    "zfr0-hidden": Mutant(
        "ID_AA64ZFR0_EL1 of a vcpu without SVE is unknown (K6)", answering(_zfr0_hidden)
    ),
}
