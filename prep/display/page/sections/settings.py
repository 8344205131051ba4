"""The configuration, and the libraries at work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from prep.config import Config
from prep.display.page.facts import Facts
from prep.display.page.section import Section, View, make_section
from prep.output.report.making import all_versions
from prep.output.report.report import RunReport
from prep.text import counted, one_line

Row = tuple[str, str]


def settings(view: View) -> Section:
    """What was asked for, and by which libraries it was made."""
    chosen, default = config_rows(view.facts)
    return make_section(
        "settings",
        "Settings",
        {
            "digest": view.facts.plan.fingerprint.digest,
            "chosen": chosen,
            "default": default,
            "versions": version_rows(view.facts.report),
        },
    )


def config_rows(facts: Facts) -> tuple[list[Row], list[Row]]:
    """What differs from the default, and all that does not."""
    values = facts.plan.config.model_dump(mode="json")
    fields = Config.model_fields
    chosen = {name: value for name, value in values.items() if value != fields[name].default}
    default = {name: value for name, value in values.items() if name not in chosen}
    if "images_per_shard" in default:
        default["images_per_shard"] = facts.plan.images_per_shard
    return _rows(chosen), _rows(default)


def _rows(values: Mapping[str, Any]) -> list[Row]:
    return [(name, _shown(value)) for name, value in values.items()]


def _shown(value: Any) -> str:
    if value is None or value == []:
        return "not set"
    if isinstance(value, Mapping):
        return f"given, of {counted(len(value), 'class')}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return one_line(", ".join(map(str, value)))
    return f"{value:,}" if type(value) is int else one_line(str(value))


def version_rows(report: RunReport | None) -> list[Row]:
    """Of the libraries at work; of those here where no report says which they were."""
    versions = report.versions if report else all_versions()
    return [(one_line(name), one_line(str(value))) for name, value in versions.items()]
