"""What each instruction form does, one function per form."""

from __future__ import annotations

from targets.model.semantics import (
    asimd_int,
    asimd_long,
    asimd_mem,
    asimd_move,
    asimd_shift,
    crypto_forms,
    fp,
    fp_convert,
    fp_later,
    hypercall,
    prefixed,
    sve2,
    sve2_element,
    sve2_width,
    sve_bitwise,
    sve_count,
    sve_dot,
    sve_fp,
    sve_fpwide,
    sve_gather,
    sve_int,
    sve_loop,
    sve_mem,
    sve_perm,
    sve_pred,
    system,
)
from targets.model.semantics.registry import SEMANTICS, Semantic

_MODULES = (
    asimd_int,
    asimd_long,
    asimd_mem,
    asimd_move,
    asimd_shift,
    crypto_forms,
    fp,
    fp_convert,
    fp_later,
    hypercall,
    prefixed,
    sve2,
    sve2_element,
    sve2_width,
    sve_bitwise,
    sve_count,
    sve_dot,
    sve_fp,
    sve_fpwide,
    sve_gather,
    sve_int,
    sve_loop,
    sve_mem,
    sve_perm,
    sve_pred,
    system,
)

__all__ = ["SEMANTICS", "Semantic"]
