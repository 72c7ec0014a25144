"""Writes what `test_quality.py` holds: `python -m quality.produce` with PYTHONPATH=tests.

Look at the difference before you keep it: a minimal case that grew is a worse minimiser.
"""

from __future__ import annotations

import json
from pathlib import Path

from corpus.text import format_case
from quality.hunting import hunt, minimal
from targets.mutants import MUTANTS

KEPT = Path(__file__).with_name("minimal.json")
MOST = 40_000


def main() -> None:
    """Hunt and minimise every seeded defect."""
    kept = {}
    for name in sorted(MUTANTS):
        found = hunt(name, MOST)
        if found is None:
            print(f"{name}: not found in {MOST} cases")
            continue
        case, count = found
        record = minimal(name, case)
        kept[name] = {
            "cases": count,
            "witness": format_case(case),
            "minimal": format_case(record.minimal),
            "bucket": record.signature.title,
        }
        print(f"{name}: {count} cases, {len(record.minimal.ops)} ops", flush=True)
    KEPT.write_text(json.dumps(kept, indent=1) + "\n")


if __name__ == "__main__":
    main()
