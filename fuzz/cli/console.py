"""Where rich draws: on standard output, safe for the terminal as all else is."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterable
from typing import IO, cast

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from fuzz.cli.streams import SafeStream
from fuzz.printable import printable


class _SafeConsole(Console):
    """rich writes commands to the terminal itself, so it is what it shows that is made safe."""

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            if segment.control:
                yield segment
            else:
                yield Segment(printable(segment.text), segment.style)


def console(*, soft_wrap: bool = False, highlight: bool = True) -> Console:
    """A console on standard output."""
    stream = sys.stdout
    raw = stream.raw if isinstance(stream, SafeStream) else stream
    file = cast(IO[str], raw or io.StringIO())
    return _SafeConsole(file=file, soft_wrap=soft_wrap, highlight=highlight)


def print_bold(text: str) -> None:
    """Text that stands out, in lines as they are."""
    console(soft_wrap=True).print(Text(text, style="bold"))
