"""Whether a path that somebody else may have written stays within the source that it is of.

Links in the source are followed: what they lead to is its owner's business.
"""

from __future__ import annotations

import re

from prep.locations import is_url

# Empty parts, "." and ".."; in URLs also encoded, for a server decodes them.
_LEADS_OUT = r"(\A|/)\.{{0,2}}(/|{end})|\x00"
_LEADS_OUT_OF_URL = r"(?i)(\A|/|%2f|%5c)(\.|%2e){{0,2}}(/|%2f|%5c|{end})|\x00|%00"
_END_OF_TEXT = r"\Z"  # Python's; RE2, which Arrow has, calls it \z.


def leading_out(source: str, end_of_text: str = _END_OF_TEXT) -> str:
    """The regular expression that is found in paths which do not stay within a source."""
    pattern = _LEADS_OUT_OF_URL if is_url(source) else _LEADS_OUT
    return pattern.format(end=end_of_text)


def stays_within(path: str, source: str = "") -> bool:
    """Whether a relative path leads to something below a source.

    >>> stays_within("train/cat/1.jpg"), stays_within("../1.jpg"), stays_within("/etc/passwd")
    (True, False, False)
    """
    return re.search(leading_out(source), path) is None
