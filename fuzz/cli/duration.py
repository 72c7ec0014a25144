"""How long something takes, as it is written on a command line."""

from __future__ import annotations

import re

import click

_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
_LONGEST_S = 10 * 366 * 86400.0


class Duration(click.ParamType[float]):
    """`90`, `90s`, `10m`, `2h`, `1d`: seconds."""

    name = "duration"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)([smhd]?)", str(value))
        if not match:
            self.fail(f"{value!r} is no duration such as 90s, 10m or 2h.", param, ctx)
        seconds = float(match[1]) * _UNITS[match[2]]
        if not 0 < seconds < _LONGEST_S:
            self.fail(f"{value!r} is not between a moment and ten years.", param, ctx)
        return seconds
