"""Record numbers that know their position in an order."""

from __future__ import annotations

from typing import Any


class Drawn(int):
    """The number of a record, and the position at which an order has it.

    To everything else it is an integer. It keeps its position when an offset is subtracted from
    it, as torch's ``ConcatDataset`` does.

    Attributes:
        position: counted over all epochs and ranks.
    """

    position: int

    def __new__(cls, record: int, position: int) -> Drawn:
        """Return a record number with its position."""
        drawn = super().__new__(cls, record)
        drawn.position = position
        return drawn

    def __sub__(self, offset: int) -> Drawn:
        """Return the number less an offset, at the same position."""
        return Drawn(int(self) - int(offset), self.position)

    def __reduce__(self) -> tuple[Any, ...]:
        """Return what another process makes the same of."""
        return Drawn, (int(self), self.position)
