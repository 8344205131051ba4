"""Azure's storage: names as they are, and pauses that leave time for others to try again."""

from __future__ import annotations

from typing import Any

from adlfs import AzureBlobFileSystem


class Azure(AzureBlobFileSystem):  # type: ignore[misc]
    """The filesystem of adlfs, with two changes.

    Of what is no URL, ``?`` and ``#`` are parts of the name. What fails is tried again after 1, 3
    and 5 s or so, instead of 15, 18 and 24: whoever asks tries again, too, and that there are no
    credentials is such a failure.
    """

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        is_url = str(path).startswith(tuple(f"{protocol}://" for protocol in cls.protocol))
        return super()._strip_protocol(path) if is_url else path.lstrip("/")

    def do_connect(self) -> None:
        super().do_connect()
        # No argument leads there: https://github.com/fsspec/adlfs (2026.8).
        policy = self.service_client._config.retry_policy
        policy.initial_backoff, policy.increment_base, policy.random_jitter_range = 1, 2, 1
