"""Tell whether outputs can be merged: their settings and their labels must agree."""

from __future__ import annotations

import itertools
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from prep.errors import ConfigError, LabelError
from prep.operations.growth.finished import FinishedOutput
from prep.planning.fingerprint import GROWING, VERSION_OF
from prep.sources.labels import LabelMap
from prep.text import MANY, counted, quoted, some

#: The parts of a fingerprint that say which images there are, and in which order; no record shows
#: any of them.
_OF_ITS_OWN = GROWING | {"seed"}


def require_equal_settings(parts: Sequence[FinishedOutput]) -> None:
    """Raise ConfigError where outputs have records that were made with other settings."""
    first = parts[0]
    for other in parts[1:]:
        places = f"in {quoted(first.output)}", f"in {quoted(other.output)}"
        found = first.plan.fingerprint.differences(other.plan.fingerprint, places)
        differing = [text for text in found if not _is_allowed(text.partition(":")[0])]
        if differing:
            raise ConfigError(
                f"{some(differing, '; ')}; expected outputs of equal settings: prepare one of them "
                "again with those of the other"
            )


def _is_allowed(part: str) -> bool:
    return part in _OF_ITS_OWN or part.startswith(VERSION_OF)


def merged_versions(parts: Sequence[FinishedOutput]) -> tuple[dict[str, str], list[str]]:
    """Return the newest version of each library, and those of which there are several, in words."""
    newest: dict[str, str] = {}
    told: list[str] = []
    versions = [part.plan.fingerprint.versions for part in parts]
    for name in dict.fromkeys(itertools.chain.from_iterable(versions)):
        found = sorted({each[name] for each in versions if name in each}, key=_in_order)
        newest[name] = found[-1]
        if len(found) > 1:
            told.append(f"{name} {' and '.join(found)}")
    return newest, told


def _in_order(version: str) -> tuple[list[int], str]:
    return [int(number) for number in re.findall(r"\d{1,9}", version)], version


def merged_labels(parts: Sequence[FinishedOutput]) -> LabelMap:
    """Return the label map of all classes, in which each keeps its label.

    Raises:
        LabelError: a class has different labels in two outputs, or different classes have the same.
    """
    labelled = [part for part in parts if part.plan.labels.numbers]
    if not labelled:
        return parts[0].plan.labels
    first = labelled[0]
    numbers = dict(first.plan.labels.numbers)
    for other in labelled[1:]:
        _require_one_width(first, other)
    for one, other in itertools.combinations(labelled, 2):
        _require_agreement(one, other)
        numbers |= other.plan.labels.numbers
    return replace(first.plan.labels, numbers=numbers).of_target(first.plan.labels.target)


def _require_one_width(one: FinishedOutput, other: FinishedOutput) -> None:
    kinds = [_kind(part.plan.labels) for part in (one, other)]
    if kinds[0] != kinds[1]:
        raise LabelError(
            f"label map: {quoted(one.output)} has {kinds[0]}, and {quoted(other.output)} "
            f"{kinds[1]}; expected labels of one kind: prepare one of them again with the label "
            "map of the other"
        )


def _kind(labels: LabelMap) -> str:
    """Return in words what the labels of an output are."""
    if labels.target == "soft":
        return f"lists of {labels.size} numbers, one for each class"
    return "numbers" if labels.width is None else f"one-hot lists of {labels.width}"


def _require_agreement(one: FinishedOutput, other: FinishedOutput) -> None:
    found = [*_contradictions(one.plan.labels.numbers, other.plan.labels.numbers)]
    if found:
        raise LabelError(
            f"label map: {quoted(one.output)} and {quoted(other.output)} do not agree on "
            f"{counted(len(found), 'label')}: {some(found, '; ', most=MANY)}; prepare one of them "
            "again with a label map that has all classes"
        )


def _contradictions(one: Mapping[str, int], other: Mapping[str, int]) -> Iterator[str]:
    """Yield classes with two numbers, and numbers with a class of either output alone."""
    for name in sorted(one.keys() & other.keys()):
        if one[name] != other[name]:
            yield f"{quoted(name)} is {one[name]} and {other[name]}"
    alone = [_by_number(numbers, but=rest) for numbers, rest in ((one, other), (other, one))]
    for number in sorted(alone[0].keys() & alone[1].keys()):
        classes = (some([*map(quoted, names[number])]) for names in alone)
        yield f"{number} is {' and '.join(classes)}"


def _by_number(numbers: Mapping[str, int], but: Mapping[str, int]) -> Mapping[int, list[str]]:
    """Return the classes that another map does not have, by number."""
    found: defaultdict[int, list[str]] = defaultdict(list)
    for name, number in sorted(numbers.items()):
        if name not in but:
            found[number].append(name)
    return found
