"""The keys that do not go with labels of another target than one class."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from prep.errors import ConfigError
from prep.settings.choices import RecordKind, Target, Unlabelled
from prep.sources.labelling.label_rules import LabelRules
from prep.sources.memory import ListedImages
from prep.text import quoted

# The rules of ``labels`` that change which classes there are.
_OF_CLASSES = ("rename", "include", "exclude")


class _Labelled(Protocol):
    """The keys of a configuration that are about labels."""

    @property
    def source(self) -> Any: ...
    @property
    def target(self) -> Target: ...
    @property
    def labels(self) -> LabelRules | None: ...
    @property
    def label_map(self) -> str | Mapping[str, Any] | None: ...
    @property
    def first_label(self) -> int: ...
    @property
    def record(self) -> RecordKind: ...
    @property
    def unlabelled(self) -> Unlabelled: ...


def require_target(config: _Labelled) -> None:
    """Raise ConfigError if other keys, or labels given in Python, do not go with the target."""
    target = config.target
    if target != "multi" and config.labels is not None and config.labels.separator is not None:
        raise ConfigError(
            f"labels.separator: got {quoted(config.labels.separator)}, which is for images of "
            f"several classes, and the target is {target}; leave it out, or use target multi"
        )
    if isinstance(config.source, ListedImages):
        config.source.require_labels(target)
    if target == "class":
        return
    if config.record == "tf-slim":
        raise ConfigError(
            f"record: got tf-slim, whose label is the number of one class, and the target is "
            f"{target}; use record prep"
        )
    if target == "multi":
        return
    if config.first_label:
        raise ConfigError(
            f"first_label: got {config.first_label}, and labels with target {target} hold no "
            "numbers of classes; leave it out"
        )
    if config.unlabelled == "keep":
        raise ConfigError(
            f"unlabelled: got keep, and no number stands for no label with target {target}; skip "
            "images without a label"
        )
    rules = {} if config.labels is None else config.labels.to_json()
    if target == "value":
        if config.label_map is not None:
            raise ConfigError(
                "label_map: got one, and labels with target value have no classes; leave it out"
            )
        wrong = [name for name in rules if name != "from"]
    else:
        wrong = [name for name in rules if name in _OF_CLASSES]
    if wrong:
        raise ConfigError(
            f"labels.{wrong[0]}: got {quoted(str(rules[wrong[0]]))}, which labels with target "
            f"{target} can't follow: they are numbers; leave it out, or change the source"
        )
