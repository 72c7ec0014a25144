"""Text from elsewhere (notes, kernel logs, case files, leg names), made fit to be shown. Pure."""

from __future__ import annotations

import re

# What a terminal may take for a command or XML may not hold: controls (C0, DEL, C1) except
# newline and tab, marks that turn the direction of writing, line separators, lone surrogates,
# and the two that are no characters at all.
_UNFIT = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
)


def printable(text: str) -> str:
    r"""`text` with every character that is not for showing written as Python writes it, such
    as `\x1b`. Newlines and tabs stay; a carriage return before a newline goes."""
    return _UNFIT.sub(_escape, text.replace("\r\n", "\n"))


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
