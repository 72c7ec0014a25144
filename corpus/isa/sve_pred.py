"""SVE predicates: logic, permutes, partition breaks, counts, loops and the first-fault register."""

from __future__ import annotations

from corpus.isa.form import Form
from corpus.isa.operands import esize, p, pattern, r, w, x, z
from corpus.isa.rows import rows

_LOGIC = rows(
    "sve-pred-logic",
    "sve",
    "{pd}.b, {pg}/z, {pn}.b, {pm}.b",
    (p("pd", 0), p("pg", 10), p("pn", 5), p("pm", 16)),
    {
        "and": 0x2500_4000,
        "bic": 0x2500_4010,
        "eor": 0x2500_4200,
        "ands": 0x2540_4000,
        "bics": 0x2540_4010,
        "eors": 0x2540_4200,
        "orr": 0x2580_4000,
        "orn": 0x2580_4010,
        "nor": 0x2580_4200,
        "nand": 0x2580_4210,
        "orrs": 0x25C0_4000,
        "orns": 0x25C0_4010,
        "nors": 0x25C0_4200,
        "nands": 0x25C0_4210,
    },
    "_p",
) + rows(
    "sve-pred-logic",
    "sve",
    "{pd}.b, {pg}, {pn}.b, {pm}.b",
    (p("pd", 0), p("pg", 10), p("pn", 5), p("pm", 16)),
    {"sel": 0x2500_4210},
    "_p",
)

_INITIALISE = (
    *rows(
        "sve-pred",
        "sve",
        "{pd}.{t}, {pat}",
        (p("pd", 0), esize(), pattern()),
        {"ptrue": 0x2518_E000, "ptrues": 0x2519_E000},
    ),
    *rows("sve-pred", "sve", "{pd}.b", (p("pd", 0),), {"pfalse": 0x2518_E400}),
    *rows("sve-pred", "sve", "{pg}, {pn}.b", (p("pg", 10), p("pn", 5)), {"ptest": 0x2550_C000}),
    *rows(
        "sve-pred",
        "sve",
        "{pdn}.b, {pg}, {pdn}.b",
        (p("pdn", 0), p("pg", 5)),
        {"pfirst": 0x2558_C000},
    ),
    *rows(
        "sve-pred",
        "sve",
        "{pdn}.{t}, {pg}, {pdn}.{t}",
        (p("pdn", 0), esize(), p("pg", 5)),
        {"pnext": 0x2519_C400},
    ),
)

_FIRST_FAULT_REGISTER = (
    *rows("sve-ffr", "sve", "{pd}.b", (p("pd", 0),), {"rdffr": 0x2519_F000}),
    *rows(
        "sve-ffr",
        "sve",
        "{pd}.b, {pg}/z",
        (p("pd", 0), p("pg", 5)),
        {"rdffr": 0x2518_F000, "rdffrs": 0x2558_F000},
        "_p",
    ),
    *rows("sve-ffr", "sve", "{pn}.b", (p("pn", 5),), {"wrffr": 0x2528_9000}),
    *rows("sve-ffr", "sve", "", (), {"setffr": 0x252C_9000}),
)

_BREAKS = (
    *rows(
        "sve-pred-break",
        "sve",
        "{pd}.b, {pg}/z, {pn}.b",
        (p("pd", 0), p("pg", 10), p("pn", 5)),
        {"brka": 0x2510_4000, "brkas": 0x2550_4000, "brkb": 0x2590_4000, "brkbs": 0x25D0_4000},
        "_z",
    ),
    *rows(
        "sve-pred-break",
        "sve",
        "{pd}.b, {pg}/m, {pn}.b",
        (p("pd", 0), p("pg", 10), p("pn", 5)),
        {"brka": 0x2510_4010, "brkb": 0x2590_4010},
        "_m",
    ),
    *rows(
        "sve-pred-break",
        "sve",
        "{pdm}.b, {pg}/z, {pn}.b, {pdm}.b",
        (p("pdm", 0), p("pg", 10), p("pn", 5)),
        {"brkn": 0x2518_4000, "brkns": 0x2558_4000},
    ),
    *rows(
        "sve-pred-break",
        "sve",
        "{pd}.b, {pg}/z, {pn}.b, {pm}.b",
        (p("pd", 0), p("pg", 10), p("pn", 5), p("pm", 16)),
        {
            "brkpa": 0x2500_C000,
            "brkpb": 0x2500_C010,
            "brkpas": 0x2540_C000,
            "brkpbs": 0x2540_C010,
        },
    ),
)

_PERMUTES = (
    *rows(
        "sve-pred-permute",
        "sve",
        "{pd}.{t}, {pn}.{t}, {pm}.{t}",
        (p("pd", 0), esize(), p("pn", 5), p("pm", 16)),
        {
            "zip1": 0x0520_4000,
            "zip2": 0x0520_4400,
            "uzp1": 0x0520_4800,
            "uzp2": 0x0520_4C00,
            "trn1": 0x0520_5000,
            "trn2": 0x0520_5400,
        },
        "_p",
    ),
    *rows(
        "sve-pred-permute",
        "sve",
        "{pd}.{t}, {pn}.{t}",
        (p("pd", 0), esize(), p("pn", 5)),
        {"rev": 0x0534_4000},
        "_p",
    ),
    *rows(
        "sve-pred-permute",
        "sve",
        "{pd}.h, {pn}.b",
        (p("pd", 0), p("pn", 5)),
        {"punpklo": 0x0530_4000, "punpkhi": 0x0531_4000},
    ),
)

_WHILE = (
    *rows(
        "sve-while",
        "sve",
        "{pd}.{t}, {xn}, {xm}",
        (p("pd", 0), esize(), x("xn", 5), x("xm", 16)),
        {
            "whilelt": 0x2520_1400,
            "whilele": 0x2520_1410,
            "whilelo": 0x2520_1C00,
            "whilels": 0x2520_1C10,
        },
        "_x",
    ),
    *rows(
        "sve-while",
        "sve",
        "{pd}.{t}, {wn}, {wm}",
        (p("pd", 0), esize(), w("wn", 5), w("wm", 16)),
        {
            "whilelt": 0x2520_0400,
            "whilele": 0x2520_0410,
            "whilelo": 0x2520_0C00,
            "whilels": 0x2520_0C10,
        },
        "_w",
    ),
    *rows(
        "sve-while",
        "sve2",
        "{pd}.{t}, {xn}, {xm}",
        (p("pd", 0), esize(), x("xn", 5), x("xm", 16)),
        {
            "whilege": 0x2520_1000,
            "whilegt": 0x2520_1010,
            "whilehs": 0x2520_1800,
            "whilehi": 0x2520_1810,
            "whilewr": 0x2520_3000,
            "whilerw": 0x2520_3010,
        },
        "_x",
    ),
    *rows(
        "sve-while",
        "sve2",
        "{pd}.{t}, {wn}, {wm}",
        (p("pd", 0), esize(), w("wn", 5), w("wm", 16)),
        {
            "whilege": 0x2520_0000,
            "whilegt": 0x2520_0010,
            "whilehs": 0x2520_0800,
            "whilehi": 0x2520_0810,
        },
        "_w",
    ),
    *rows(
        "sve-while",
        "sve",
        "{xn}, {xm}",
        (x("xn", 5), x("xm", 16)),
        {"ctermeq": 0x25E0_2000, "ctermne": 0x25E0_2010},
        "_x",
    ),
    *rows(
        "sve-while",
        "sve",
        "{wn}, {wm}",
        (w("wn", 5), w("wm", 16)),
        {"ctermeq": 0x25A0_2000, "ctermne": 0x25A0_2010},
        "_w",
    ),
)

_COUNTS = (
    *rows(
        "sve-pred-count",
        "sve",
        "{xd}, {pg}, {pn}.{t}",
        (x("xd", 0), p("pg", 10), p("pn", 5), esize()),
        {"cntp": 0x2520_8000},
    ),
    *rows(
        "sve-pred-count",
        "sve",
        "{xdn}, {pm}.{t}",
        (x("xdn", 0), p("pm", 5), esize()),
        {
            "incp": 0x252C_8800,
            "decp": 0x252D_8800,
            "sqincp": 0x2528_8C00,
            "uqincp": 0x2529_8C00,
            "sqdecp": 0x252A_8C00,
            "uqdecp": 0x252B_8C00,
        },
        "_x",
    ),
    *rows(
        "sve-pred-count",
        "sve",
        "{wdn}, {pm}.{t}",
        (w("wdn", 0), p("pm", 5), esize()),
        {"uqincp": 0x2529_8800, "uqdecp": 0x252B_8800},
        "_w",
    ),
    *rows(
        "sve-pred-count",
        "sve",
        "x{rdn}, {pm}.{t}, w{rdn}",
        (r("rdn", 0), p("pm", 5), esize()),
        {"sqincp": 0x2528_8800, "sqdecp": 0x252A_8800},
        "_w",
    ),
    *rows(
        "sve-pred-count",
        "sve",
        "{zdn}.{t}, {pm}.{t}",
        (z("zdn", 0), p("pm", 5), esize(names="hsd")),
        {
            "incp": 0x252C_8000,
            "decp": 0x252D_8000,
            "sqincp": 0x2528_8000,
            "uqincp": 0x2529_8000,
            "sqdecp": 0x252A_8000,
            "uqdecp": 0x252B_8000,
        },
        "_z",
    ),
)

FORMS: tuple[Form, ...] = (
    *_LOGIC,
    *_INITIALISE,
    *_FIRST_FAULT_REGISTER,
    *_BREAKS,
    *_PERMUTES,
    *_WHILE,
    *_COUNTS,
)
