"""The configuration, and the libraries at work."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from prep.config.model import Config
from prep.display.page.facts import Facts
from prep.display.page.section import Section, View, make_section
from prep.output.report.making import all_versions
from prep.planning.description import setting_text
from prep.text import counted

Row = tuple[str, str]


def settings(view: View) -> Section:
    """Return the configuration, and the versions of the libraries."""
    chosen, default = config_rows(view.facts)
    report = view.facts.report
    return make_section(
        "settings",
        "Settings",
        {
            "digest": view.facts.plan.fingerprint.digest,
            "chosen": chosen,
            "default": default,
            "versions": (report.versions if report else all_versions()).items(),
        },
    )


def config_rows(facts: Facts) -> tuple[list[Row], list[Row]]:
    """Return the settings that differ from their defaults, and all others."""
    values = facts.plan.config.model_dump(mode="json")
    fields = Config.model_fields
    chosen = {name: value for name, value in values.items() if value != fields[name].default}
    default = {name: value for name, value in values.items() if name not in chosen}
    if "images_per_shard" in default:
        default["images_per_shard"] = facts.plan.images_per_shard
    chosen["source"] = str(facts.plan.config.source)
    return _rows(chosen), _rows(default)


def _rows(values: Mapping[str, Any]) -> list[Row]:
    return [(name, _shown(name, value)) for name, value in values.items()]


def _shown(name: str, value: Any) -> str:
    if value is None or value == []:
        return "not set"
    if name == "label_map" and isinstance(value, Mapping):
        return f"given, of {counted(len(value), 'class')}"
    return f"{value:,}" if type(value) is int else setting_text(value)
