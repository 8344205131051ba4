"""The receipts in an output: a shard is committed once its receipt is there, and true."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from prep.output.layout import OutputLayout
from prep.output.receipt import ShardReceipt, of_outcome
from prep.output.report.checksums import DIGITS
from prep.parsing import parse_json
from prep.planning.continued import Continued
from prep.planning.shards import ShardSpec
from prep.text import quoted

_LARGEST = 256 << 20  # bytes of a receipt, with the checksums of 16 million images


class Receipts:
    """The receipts in one output.

    All methods but ``read`` and ``commit`` raise StorageUnavailable if a storage does not answer.
    """

    def __init__(self, layout: OutputLayout) -> None:
        self._layout = layout

    def read(self, split: str, index: int) -> ShardReceipt:
        """Read the receipt of a shard of any plan.

        Raises:
            OSError: it can't be read.
            ValueError: it is not a receipt, or another shard's.
        """
        path = self._layout.receipt(split, index)
        receipt = ShardReceipt.from_json(parse_json(path.read_at_most(_LARGEST), _LARGEST))
        if (receipt.split, receipt.index) != (split, index):
            raise ValueError(f"it is that of shard {receipt.index} of {quoted(receipt.split)}")
        return receipt

    def stored(self, shard: ShardSpec) -> ShardReceipt | None:
        """Return the receipt of a shard, true or not; None if there is none that could be its."""
        try:
            receipt = self.read(shard.split, shard.index)
        except OSError as error:
            self._layout.root.require_answer(error)
            return None
        except ValueError:
            return None
        return receipt if _fits(receipt, shard) else None

    def of(
        self, shard: ShardSpec, digest: str, sizes: Mapping[str, int] | None = None
    ) -> ShardReceipt | None:
        """Return the receipt of a shard that is committed under this fingerprint, and whole.

        Args:
            sizes: bytes of the shards of its split by file name, if they are known already.
        """
        receipt = self.stored(shard)
        return receipt if receipt and self.is_true(receipt, digest, sizes) else None

    def is_true(
        self, receipt: ShardReceipt, digest: str, sizes: Mapping[str, int] | None = None
    ) -> bool:
        """Return whether its shard is committed under a fingerprint, and whole; see :meth:`of`."""
        if receipt.fingerprint != digest:
            return False
        file = self._layout.root / receipt.file
        try:
            size = file.file_size() if sizes is None else sizes.get(file.name)
        except OSError as error:
            self._layout.root.require_answer(error)
            return False
        return size == receipt.bytes

    def committed(self, shards: Iterable[ShardSpec], digest: str) -> list[ShardReceipt]:
        """Return the receipts of the shards that are committed under a fingerprint, in order."""
        shards = list(shards)
        splits = {shard.split for shard in shards}
        # A storage is slow to answer, and so asked for whole folders. On a disk these are None.
        held = {split: (self._layout.receipts / split).sizes() for split in splits}
        sizes = {split: (self._layout.root / split).sizes() for split in splits}

        def receipt_of(shard: ShardSpec) -> ShardReceipt | None:
            return self.of(shard, digest, sizes[shard.split])

        may_have = [s for s in shards if (names := held[s.split]) is None or self._name(s) in names]
        found = self._layout.root.each(receipt_of, may_have)
        return [receipt for receipt in found if receipt is not None]

    def listed(self, shards: Sequence[ShardSpec]) -> list[ShardSpec]:
        """Return the shards that have a receipt, true or not."""
        names = {split: self._names(split) for split in {shard.split for shard in shards}}
        return [shard for shard in shards if self._name(shard) in names[shard.split]]

    def of_plan_before(self, shard: ShardSpec, before: Continued) -> ShardReceipt | None:
        """Return the receipt that a shard has from the plan that is continued; None without one."""
        try:
            receipt = self.read(shard.split, shard.index)
        except OSError as error:
            self._layout.root.require_answer(error)
            return None
        except ValueError:
            return None
        of_before = (before.digest, before.counts.get(shard.split))
        return receipt if (receipt.fingerprint, receipt.count) == of_before else None

    def commit(self, receipt: ShardReceipt) -> None:
        """Publish a receipt. The shard's file must be in its place, and on disk.

        The receipt itself may be lost in a power failure: then the shard is written once more.

        Raises:
            OSError: it can't be written.
        """
        path = self._layout.receipt(receipt.split, receipt.index)
        path.publish_json(receipt.to_json(), within=self._layout.root, durable=False)

    def withdraw(self, shard: ShardSpec, sha256: str) -> None:
        """Remove the receipt of a shard, unless it is true of a file with this digest.

        Raises:
            OSError: it can't be removed.
        """
        receipt = self.stored(shard)
        if receipt is not None and receipt.sha256 != sha256:
            path = self._layout.receipt(shard.split, shard.index)
            path.remove_file(within=self._layout.root)

    def _name(self, shard: ShardSpec) -> str:
        return self._layout.receipt(shard.split, shard.index).name

    def _names(self, split: str) -> set[str]:
        try:
            return set((self._layout.receipts / split).names(""))
        except OSError as error:
            self._layout.root.require_answer(error)
            return set()


def _fits(receipt: ShardReceipt, shard: ShardSpec) -> bool:
    """Return whether a receipt accounts for as many images as a shard has."""
    images = receipt.images + len(of_outcome(receipt.findings, "refused"))
    whole = images == shard.images and len(receipt.checksums) == DIGITS * images
    return whole and receipt.count == shard.count
