"""The memory that an image takes, measured in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

_CHILD = """
import json, resource, sys
from pathlib import Path
from prep.errors import RefusedImage
from prep.images.decoders.process import configure_process
from prep.images.processor import ImageProcessor
from prep.settings.image_settings import ImageSettings

def peak():
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))

configure_process()
process = ImageProcessor(ImageSettings())
process(Path(sys.argv[1]).read_bytes())
data = Path(sys.argv[2]).read_bytes()
before = peak()
try:
    process(data)
    reason = "written"
except RefusedImage as error:
    reason = error.reason
print(json.dumps([reason, peak() - before]))
"""


def growth(good: Path, file: Path) -> tuple[str, int]:
    """(reason, or ``written``; KiB that the peak of a process's memory rises by) for a file.

    On Linux, that is not what ``getrusage`` calls its maximum: there, a process begins with the
    maximum of the one that started it, and all that is below goes unseen.

    Args:
        good: a file that is processed before it.
    """
    done = subprocess.run(
        [sys.executable, "-c", _CHILD, good, file], capture_output=True, text=True, check=True
    )
    assert done.stderr == ""  # Whatever decoders have to say, they do not say it to the terminal.
    reason, kib = json.loads(done.stdout)
    return reason, kib
