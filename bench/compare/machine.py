"""The hardware and versions of a measurement, without names or dates."""

from __future__ import annotations

import os
import platform
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

_PACKAGES = (
    "prep",
    "dask",
    "distributed",
    "google-crc32c",
    "numpy",
    "opencv-python-headless",
    "simplejpeg",
    "tensorflow",
)


def describe_machine(cores: int) -> dict[str, Any]:
    """Hardware, operating system and versions, for the JSON file."""
    return {
        "cpu": _cpu_model(),
        "cores": cores,
        "logical_cpus": os.cpu_count(),
        "memory_bytes": psutil.virtual_memory().total,
        "system": f"{platform.system()} {platform.release()}",
        "libc": " ".join(platform.libc_ver()),
        "python": sys.version.split()[0],
        "packages": {name: version(name) for name in _PACKAGES},
    }


def _cpu_model() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor()
    lines = [line.partition(":")[2].strip() for line in text.splitlines() if "model name" in line]
    return lines[0] if lines else platform.processor()
