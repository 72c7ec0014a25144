"""Writes what `test_quality.py` holds: `python -m quality.produce` with PYTHONPATH=tests.

Look at the difference before you keep it: a minimal case that grew is a worse minimiser.
"""

from __future__ import annotations

import json
from pathlib import Path

from corpus.text import format_case
from quality.hunting import SEEDS, hunt, minimal
from targets.mutants import MUTANTS

KEPT = Path(__file__).with_name("minimal.json")
MOST = 40_000


def main() -> None:
    """Hunt and minimise every seeded defect."""
    kept = {}
    for name in sorted(MUTANTS):
        hunts = [found for seed in SEEDS if (found := hunt(name, MOST, seed))]
        if len(hunts) < len(SEEDS):
            print(f"{name}: {len(hunts)} of {len(SEEDS)} hunts found it in {MOST} cases")
            continue
        case = hunts[0][0]
        record = minimal(name, case)
        count = round(sum(count for _, count in hunts) / len(hunts))
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
