"""What is up to the CPU within a run: one path of several, and which others there are."""

from __future__ import annotations

from collections.abc import Iterator


class Forks:
    """The choices of one path through a run: first those of `script`, then always the first."""

    def __init__(self, script: tuple[int, ...] = ()) -> None:
        self._script = script
        self.taken: list[tuple[int, int]] = []
        """What was chosen, and of how many."""

    def choose(self, ways: int) -> int:
        """One of `ways` outcomes, by number."""
        at = len(self.taken)
        chosen = self._script[at] if at < len(self._script) else 0
        self.taken.append((chosen, ways))
        return chosen

    def others(self) -> Iterator[tuple[int, ...]]:
        """Scripts of the paths that part from this one behind its script."""
        chosen = tuple(choice for choice, _ in self.taken)
        for at in range(len(self._script), len(chosen)):
            for other in range(1, self.taken[at][1]):
                yield (*chosen[:at], other)
