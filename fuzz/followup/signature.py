"""What makes two divergences the same: never raw values, only their shape."""

from __future__ import annotations

from db.records import SignatureRecord
from fuzz.followup.cause import Cause


def signature(oracle: str, cause: Cause, legs: str) -> SignatureRecord:
    """The bucket of what `cause` makes `legs` do."""
    return SignatureRecord(
        oracle=oracle,
        op_kind=cause.op_word,
        rule=cause.rule,
        register_class=cause.what,
        vl_relation=cause.relation,
        legs=legs,
    )
