"""What a file or a fuzzer's input is: a case in text, or one in bytes.

Canonical bytes begin with `min_vq`, which is at most 16, and an op has bytes that no text
has, so the two never meet; a file's name says nothing.
"""

from __future__ import annotations

import re

from corpus.case import MAX_VQ, Case, decode
from corpus.domain import TextError
from corpus.lines import check_size, decoded
from corpus.text import Document, parse_document

_CONTROL = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_NO_CASE = Case(())


def is_text(data: bytes) -> bool:
    """Whether this is text, though perhaps none that says a case."""
    if not data or _CONTROL.search(data):
        return False
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def read_document(data: bytes) -> Document:
    """What a file holds. Raises TextError."""
    if not data:
        raise TextError("it is empty")
    check_size(len(data))
    if is_text(data):
        return parse_document(decoded(data))
    if data[0] > MAX_VQ:
        try:
            return parse_document(decoded(data))
        except TextError as error:
            raise TextError(f"{error}, and no case in bytes begins like this") from None
    case = decode(data)
    if not case.ops:
        raise TextError("there is no op in it")
    return Document(case, (), "")


def case_of(data: bytes) -> Case:
    """The case that any input of a fuzzer stands for: libFuzzer also hands over the texts that
    lie in its directory. A text that says none is a case without ops."""
    if (data[:1] > _LAST_BYTE or data[:1] in _BLANK) and is_text(data):
        try:
            return parse_document(decoded(data)).case
        except TextError:
            return _NO_CASE
    return decode(data)


_LAST_BYTE = bytes([MAX_VQ])
_BLANK = (b"\t", b"\n", b"\r")
