"""What a search is steered by, as users name it."""

from __future__ import annotations

import click

from fuzz.worker.feedback import SOURCES, USUAL


class Sources(click.ParamType[tuple[str, ...]]):
    """Names of sources with commas between them, or `none`."""

    name = "source,..."

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        if isinstance(value, tuple):
            return value
        names = [name.strip() for name in str(value).split(",") if name.strip()]
        if names == ["none"]:
            return ()
        wrong = [name for name in names if name not in SOURCES]
        if wrong or not names:
            what = repr(wrong[0]) if wrong else "an empty list"
            self.fail(f"{what} is none of {', '.join(SOURCES)}, none.", param, ctx)
        return tuple(dict.fromkeys(names))


feedback_option = click.option(
    "--feedback",
    type=Sources(),
    default=",".join(USUAL),
    show_default=True,
    help="What the search is steered by; none: by nothing.",
)
