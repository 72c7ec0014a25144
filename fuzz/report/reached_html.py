"""Kernel coverage as a few pages that need no server. Pure: names and contents of files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape

from fuzz.printable import printable
from fuzz.report.reached import FunctionSeen, Growth, LegSeen

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --bar: #2a7ae2; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse; width: 100% } td, th { padding: .2rem .6rem; text-align: left }
tr { border-bottom: 1px solid var(--line) } .n { text-align: right }
meter { width: 8rem } code { font-size: .92em } .never { opacity: .7 }
svg { width: 100%; height: 12rem; border: 1px solid var(--line) }
polyline { fill: none; stroke: var(--bar); stroke-width: 1.5 }
"""


def pages(legs: Sequence[LegSeen], texts: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """(path, content) of every file; `texts` holds the cases by id."""
    yield "index.html", _page("Kernel coverage", _index(legs))
    for number, leg in enumerate(legs, 1):
        yield f"leg-{number}.html", _page(leg.name, _leg(leg, texts))
    for case_id, text in texts.items():
        yield f"cases/{case_id}.case", printable(text)


def _page(title: str, body: str) -> str:
    return printable(
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>"
        f"<body><h1>{escape(title)}</h1>{body}</body></html>\n"
    )


def _index(legs: Sequence[LegSeen]) -> str:
    parts = []
    for number, leg in enumerate(legs, 1):
        parts.append(
            f'<h2><a href="leg-{number}.html">{escape(leg.name)}</a></h2>'
            f"<p>{escape(leg.release)}: {leg.blocks} blocks seen in {leg.reached} "
            f"of {len(leg.functions)} functions known.</p>{_areas(leg, f'leg-{number}.html')}"
        )
    return "".join(parts)


def _areas(leg: LegSeen, page: str) -> str:
    rows = "".join(
        f'<tr><td><a href="{page}#{escape(_anchor(area.name))}">{escape(area.name)}</a></td>'
        f'<td class="n">{area.reached} of {len(area.functions)}</td>'
        f'<td><meter max="{len(area.functions)}" value="{area.reached}"></meter></td>'
        f'<td class="n">{area.blocks}</td></tr>'
        for area in leg.areas
    )
    return (
        '<table><tr><th>Area</th><th class="n">Functions reached</th><th></th>'
        f'<th class="n">Blocks seen</th></tr>{rows}</table>'
    )


def _leg(leg: LegSeen, texts: Mapping[str, str]) -> str:
    parts = ['<p><a href="index.html">All legs</a></p>', _areas(leg, "")]
    for growth in reversed(leg.growth):
        parts.append(
            f"<h2>Campaign {growth.campaign_id}</h2><p>{growth.blocks} blocks, "
            f"{growth.new} of them reached by no earlier campaign.</p>{_curve(growth)}"
        )
    for area in leg.areas:
        parts.append(f'<h2 id="{escape(_anchor(area.name))}">{escape(area.name)}</h2>')
        parts += [_function(f, texts) for f in area.functions if f.blocks]
        if area.never:
            names = ", ".join(f"<code>{escape(name)}</code>" for name in area.never)
            parts.append(f'<p class="never">Never reached: {names}</p>')
    return "".join(parts)


def _function(function: FunctionSeen, texts: Mapping[str, str]) -> str:
    blocks = "".join(
        f"<li><code>+{block.at:#x}</code> campaign {block.campaign_id}, "
        f"after {block.after_ms / 1000:.1f} s, {_case(block.case_id, texts)}</li>"
        for block in function.blocks
    )
    return (
        f"<details><summary><code>{escape(function.name)}</code> "
        f"{len(function.blocks)} blocks in {function.size} bytes</summary>"
        f"<ul>{blocks}</ul></details>"
    )


def _case(case_id: str, texts: Mapping[str, str]) -> str:
    shown = f"case <code>{escape(case_id[:12])}</code>"
    return f'<a href="cases/{escape(case_id)}.case">{shown}</a>' if case_id in texts else shown


def _curve(growth: Growth) -> str:
    """Blocks over time, as a stair: flat until the next is reached."""
    width, height = 1000, 200
    end, top = max(1, growth.curve[-1][0]), max(1, growth.blocks)
    points, last = [], 0
    for at, blocks in growth.curve:
        x = width * at / end
        points += [f"{x:.1f},{height - height * last / top:.1f}"]
        points += [f"{x:.1f},{height - height * blocks / top:.1f}"]
        last = blocks
    return (
        f'<svg viewBox="0 0 {width} {height}" preserveAspectRatio="none" role="img" '
        f'aria-label="{top} blocks after {end / 1000:.0f} s">'
        f'<polyline vector-effect="non-scaling-stroke" points="{" ".join(points)}"/></svg>'
    )


def _anchor(area: str) -> str:
    return "".join(c if c.isalnum() else "-" for c in area)
