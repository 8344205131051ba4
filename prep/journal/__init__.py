"""What an output folder remembers: the plan it is to hold, and the receipts of what it holds.

A shard counts once its receipt, written after it, is there and bears the plan's fingerprint. So a
run that was stopped anywhere is continued by what is on disk alone.
"""

from prep.journal.conflicts import require_room
from prep.journal.hosts import known_encoding, not_seen, open_plan, taken_over
from prep.journal.journal import Journal
from prep.journal.plan import no_plan, require_listed

__all__ = [
    "Journal",
    "known_encoding",
    "no_plan",
    "not_seen",
    "open_plan",
    "require_listed",
    "require_room",
    "taken_over",
]
