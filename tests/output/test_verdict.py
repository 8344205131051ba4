"""The state of a run: the same value wherever it is shown."""

from __future__ import annotations

import asyncio
import json
import pickle

import pytest

from prep.errors import (
    BadImageError,
    ClusterError,
    Interrupted,
    ShardError,
    StorageUnavailable,
    TooManyRefused,
)
from prep.output.report.verdict import STATES, State, Verdict
from prep.planning.plan import refusals_allowed


@pytest.mark.parametrize(
    ("error", "state", "reason"),
    [
        (
            TooManyRefused("3 of 4 were refused", "raise max_refused"),
            "too many refused",
            "3 of 4 w",
        ),
        (BadImageError("'a.jpg' was refused"), "failed", "'a.jpg' was refused"),
        (ShardError("1 shard failed:\ndisk full"), "failed", "1 shard failed:\\ndisk full"),
        (StorageUnavailable("s3://b does not answer"), "failed", "s3://b does not answer"),
        (
            ClusterError("two things are wrong", "one", "other"),
            "failed",
            "two things are wrong one o",
        ),
        (OSError(28, "No space left on device"), "failed", "No space left on device"),
        (KeyError("x"), "failed", "KeyError: 'x'"),
        (Interrupted("stopped: 2 of 8 shards are committed"), "stopped", "2 of 8 shards are comm"),
        (KeyboardInterrupt(), "stopped", ""),
        (SystemExit(1), "stopped", "1"),
        (asyncio.CancelledError(), "stopped", ""),
    ],
)
def test_an_error_ends_a_run(error: BaseException, state: State, reason: str) -> None:
    verdict = Verdict.of_error(error)
    assert verdict.state == state
    assert verdict.reason.startswith(reason)
    assert verdict.ended
    assert not verdict.good


@pytest.mark.parametrize(
    ("refused", "allowed", "state", "good"),
    [
        (0, 0, "done", True),
        (2, 2, "done with refusals", True),
        (3, 2, "too many refused", False),
        (1, 0, "too many refused", False),
    ],
)
def test_refused_images_end_a_run(refused: int, allowed: int, state: State, good: bool) -> None:
    verdict = Verdict.of_counts(1300, refused, allowed)
    assert (verdict.state, verdict.good, verdict.ended) == (state, good, True)
    assert bool(verdict.reason) == bool(refused)


def test_a_few_may_be_refused_unless_somebody_has_said_how_many() -> None:
    assert refusals_allowed(100, 0.05, asked=False) == 10
    assert refusals_allowed(100, 0.05, asked=True) == 5
    assert refusals_allowed(1000, 0.05, asked=False) == 50
    assert refusals_allowed(3, 1.0, asked=True) == 3


def test_a_verdict_travels() -> None:
    for state in STATES:
        verdict = Verdict(state, "because")
        assert Verdict.from_json(json.loads(json.dumps(verdict.to_json()))) == verdict
    error = TooManyRefused("3 of 4 were refused", "raise max_refused")
    assert Verdict.of_error(pickle.loads(pickle.dumps(error))) == Verdict.of_error(error)
    assert str(error) == "3 of 4 were refused; raise max_refused"
    for broken in ({}, {"state": "fine", "reason": ""}, {"state": "done", "reason": 1}, "done"):
        with pytest.raises(ValueError, match="expected"):
            Verdict.from_json(broken)
