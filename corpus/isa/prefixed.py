"""MOVPRFX, always together with the instruction it prefixes.

MOVPRFX alone is not a form: what follows it must be a destructive instruction on the same
register, or the pair is CONSTRAINED UNPREDICTABLE (Arm ARM, MOVPRFX). So each row here is
the pair, two words long.
"""

from __future__ import annotations

from corpus.isa.form import Args, Form, Operand
from corpus.isa.operands import bits, esize, imm, p, z

_PLAIN = 0x0420_BC00
_ZEROING = 0x0410_2000
_MERGING = 0x0411_2000

_UNPREDICATED: dict[str, int] = {"add": 0x2520_C000, "smax": 0x2528_C000, "mul": 0x2530_C000}
_PREDICATED: dict[str, int] = {
    "add": 0x0400_0000,
    "sub": 0x0401_0000,
    "smin": 0x040A_0000,
    "mul": 0x0410_0000,
    "eor": 0x0419_0000,
    "lsl": 0x0413_8000,
}


def _twice(operand: Operand) -> Operand:
    """An operand that stands in both words."""
    place = operand.place
    return Operand(
        operand.name,
        operand.domain,
        lambda value: place(value) | place(value) << 32,
        operand.views,
    )


def _later(operand: Operand) -> Operand:
    """An operand of the second word only."""
    place = operand.place
    return Operand(operand.name, operand.domain, lambda value: place(value) << 32, operand.views)


def _distinct(args: Args) -> bool:
    """The prefixed register is no other source of the second instruction."""
    return args[0] != args[-1]


def _make_distinct(args: Args) -> Args:
    return (*args[:-1], args[-1] ^ 1)


def _immediate_rows() -> tuple[Form, ...]:
    size = esize()
    operands = (
        _twice(z("zd", 0)),
        _later(size),
        z("zn", 5),
        _later(imm("imm", 0, 127, bits(5, 8))),
    )
    return tuple(
        Form(
            f"movprfx_{name}_zi",
            f"movprfx+{name} {{zd}}.{{t}}, {{zn}}.{{t}}, #{{imm}}",
            (_PLAIN, word),
            operands,
            "sve-prefixed",
            "sve",
            f"movprfx {{zd}}, {{zn}}\n{name} {{zd}}.{{t}}, {{zd}}.{{t}}, #{{imm}}",
        )
        for name, word in _UNPREDICATED.items()
    )


def _predicated_rows() -> tuple[Form, ...]:
    forms = []
    for kind, prefix in (("z", _ZEROING), ("m", _MERGING), ("", _PLAIN)):
        slash = f"/{kind}" if kind else ""
        pg, size = p("pg", 10, 8), esize()
        operands = (
            _twice(z("zd", 0)),
            _twice(size) if kind else _later(size),
            _twice(pg) if kind else _later(pg),
            z("zn", 5),
            _later(z("zm", 5)),
        )
        first = f"{{zd}}.{{t}}, {{pg}}{slash}, {{zn}}.{{t}}" if kind else "{zd}, {zn}"
        for name, word in _PREDICATED.items():
            forms.append(
                Form(
                    f"movprfx_{name}_zp{kind}",
                    f"movprfx+{name} {{zd}}.{{t}}, {{pg}}{slash}, {{zn}}.{{t}}, {{zm}}.{{t}}",
                    (prefix, word),
                    operands,
                    "sve-prefixed",
                    "sve",
                    f"movprfx {first}\n{name} {{zd}}.{{t}}, {{pg}}/m, {{zd}}.{{t}}, {{zm}}.{{t}}",
                    _distinct,
                    _make_distinct,
                )
            )
    return tuple(forms)


FORMS: tuple[Form, ...] = (*_immediate_rows(), *_predicated_rows())
