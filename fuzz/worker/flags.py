"""libFuzzer's flags: which a campaign may be given, and why the others would break it. Pure.

What each does is told by `-help=1` of any libFuzzer, and in LLVM's docs/LibFuzzer.rst.
"""

from __future__ import annotations

import difflib
import re

_OURS = "the campaign sets it itself"
_INSTEAD = {
    "seed": "use --seed",
    "runs": "use --cases",
    "max_total_time": "use --time",
    "fork": "use --workers",
    "jobs": "use --workers",
    "workers": "use --workers",
    "help": "it would print and end",
    "merge": "it would not fuzz",
    "set_cover_merge": "it would not fuzz",
    "minimize_crash": "it would not fuzz",
    "cleanse_crash": "it would not fuzz",
    "collect_data_flow": "it would not fuzz",
    "data_flow_trace": "there is no data flow trace of the legs",
    "analyze_dict": "it would not fuzz",
    "exit_on_src_pos": "it ends workers one after the other",
    "exit_on_item": "it ends workers one after the other",
    "stop_file": "it ends workers one after the other",
    "ignore_remaining_args": "the campaign's own would be ignored",
    "artifact_prefix": _OURS,
    "exact_artifact_path": _OURS,
    "create_missing_dirs": _OURS,
    "merge_control_file": "it would not fuzz",
    "verbosity": _OURS,
    "close_fd_mask": _OURS,
    "error_exitcode": _OURS,
    "timeout_exitcode": _OURS,
    "handle_int": _OURS,
    "handle_term": _OURS,
    "handle_usr1": _OURS,
    "handle_usr2": _OURS,
}
"""Flags that are refused, and why or what to use instead."""

_NUMBERS: dict[str, tuple[int, int]] = {
    "max_len": (64, 1 << 20),
    "len_control": (0, 1 << 30),
    "timeout": (600, 1 << 30),
    "rss_limit_mb": (1024, 1 << 30),
    "malloc_limit_mb": (0, 1 << 30),
    "mutate_depth": (1, 1000),
    "reload": (0, 1 << 30),
    "report_slow_units": (0, 1 << 30),
    "purge_allocator_interval": (-1, 1 << 30),
    "trace_malloc": (0, 2),
    "print_funcs": (0, 1 << 30),
    "entropic_feature_frequency_threshold": (0, 1 << 30),
    "entropic_number_of_rarest_features": (1, 1 << 30),
    "detect_leaks": (0, 1),
    **dict.fromkeys(
        (
            *("keep_seed", "cross_over", "cross_over_uniform_dist", "reduce_depth", "shuffle"),
            *("prefer_small", "use_counters", "use_memmem", "use_value_profile", "use_cmp"),
            *("shrink", "reduce_inputs", "only_ascii", "print_pcs", "print_final_stats"),
            *("print_corpus_stats", "print_coverage", "print_full_coverage", "entropic"),
            *("entropic_scale_per_exec_time", "handle_segv", "handle_bus", "handle_abrt"),
            *("handle_ill", "handle_fpe", "handle_xfsz"),
        ),
        (0, 1),
    ),
}
"""Flags that may be given, and their least and greatest value. A shorter limit of time or
memory would end workers at what the campaign looks into itself."""


class FlagError(ValueError):
    """A campaign cannot be given this; the message is one sentence."""


def check(flags: tuple[str, ...]) -> None:
    """Raises FlagError for the first that would break a campaign."""
    for flag in flags:
        match = re.fullmatch(r"-(\w+)=(.*)", flag, re.DOTALL)
        if match is None:
            raise FlagError(f"{flag!r} is not a flag of libFuzzer such as -use_value_profile=1")
        _check_one(match[1], match[2])


def _check_one(name: str, value: str) -> None:
    if name in _INSTEAD:
        raise FlagError(f"-{name} cannot be given to a campaign: {_INSTEAD[name]}")
    if name not in _NUMBERS:
        close = difflib.get_close_matches(name, _NUMBERS, 1)
        hint = f"; did you mean -{close[0]}?" if close else ""
        raise FlagError(f"-{name} is no flag of libFuzzer that a campaign knows{hint}")
    least, most = _NUMBERS[name]
    if not re.fullmatch(r"-?[0-9]{1,12}", value) or not least <= int(value) <= most:
        raise FlagError(f"-{name} takes a number from {least} to {most}, not {value!r}")
