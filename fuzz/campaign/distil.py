"""Which cases of many are enough to keep all that they bring. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Hashable, Iterable, Mapping
from typing import TypeVar

Name = TypeVar("Name", bound=Hashable)


def smallest(features: Mapping[Name, Collection[Hashable]], size: Mapping[Name, int]) -> list[Name]:
    """Few and small cases that have every feature which any has; in the order of `features`.

    A least set is hard to find. This one takes, for each feature from the rarest on, the
    smallest case that has it, and then leaves out whatever the others make needless.
    """
    order = sorted(features, key=lambda name: size[name])
    having: Counter[Hashable] = Counter()
    first: dict[Hashable, Name] = {}
    for name in order:
        for feature in features[name]:
            having[feature] += 1
            first.setdefault(feature, name)
    covered: set[Hashable] = set()
    taken: dict[Name, None] = {}
    for feature in sorted(first, key=lambda feature: having[feature]):
        if feature not in covered:
            taken[first[feature]] = None
            covered.update(features[first[feature]])
    kept = set(_needed(list(taken), features))
    return [name for name in features if name in kept]


def _needed(names: list[Name], features: Mapping[Name, Collection[Hashable]]) -> Iterable[Name]:
    """`names` without those all of whose features others have, the last first."""
    count: Counter[Hashable] = Counter(f for name in names for f in features[name])
    for name in reversed(names):
        if all(count[feature] > 1 for feature in features[name]):
            count.subtract(features[name])
        else:
            yield name


def adding(
    features: Mapping[Name, Collection[Hashable]], size: Mapping[Name, int], have: set[Hashable]
) -> list[Name]:
    """The cases that bring a feature which is neither in `have` nor brought by a smaller one;
    the smallest first. `have` grows."""
    found = []
    for name in sorted(features, key=lambda name: size[name]):
        if not have.issuperset(features[name]):
            found.append(name)
            have.update(features[name])
    return found
