"""Whose plan an output holds: a repair reads the source that it names, with this user's rights."""

from __future__ import annotations

import contextlib
import os
import pwd
from collections.abc import Callable

from prep import storage
from prep.errors import UntrustedPlan
from prep.layout import OutputLayout
from prep.stored_plan import StoredPlan
from prep.text import one_line, quoted

#: Whether a plan may be gone by, or who is to be asked: a function of what there is to know, in one
#: line. None: if it is this user's own.
Trust = bool | Callable[[str], bool] | None


def require_trusted(layout: OutputLayout, plan: StoredPlan, trust: Trust) -> None:
    """Make sure that the source of an output's plan may be read.

    Raises:
        UntrustedPlan: the plan is not this user's own, and nobody has spoken for it.
    """
    who = None if trust is True else "may be somebody else's" if trust is False else owner(layout)
    if who is None:
        return
    told = (
        f"output: the plan of {one_line(str(layout.root))} {who}; a repair would read images in "
        f"{quoted(plan.source)} with your rights, and write them to the output"
    )
    if callable(trust) and trust(told):
        return
    raise UntrustedPlan(f"{told}; if that is what you want, pass `trust_plan=True`")


def owner(layout: OutputLayout) -> str | None:
    """Say who else may have made an output's plan; None if only this user can have.

    A storage does not say who wrote an object.
    """
    if storage.is_remote(layout.root):
        return "is in a storage, which does not say who owns it"
    for path in (layout.root, layout.state, layout.plan, layout.manifest):
        with contextlib.suppress(FileNotFoundError):
            uid = path.stat().st_uid
            if uid != os.geteuid():
                return f"belongs to {_name(uid)}, or may come from them"
    return None


def _name(uid: int) -> str:
    try:
        return f"{pwd.getpwuid(uid).pw_name} (uid {uid})"
    except KeyError:
        return f"uid {uid}"
