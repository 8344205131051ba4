"""Splits and subsets that are made: what holds of them for any images, groups and shares."""

from __future__ import annotations

import itertools
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prep.config.split_rules import SplitRules
from prep.config.subset_rules import SubsetRules
from prep.errors import ConfigError, PrepError, SourceError
from prep.planning.splitting.apportionment import apportion
from prep.planning.splitting.balance import balance_of
from prep.planning.splitting.dividing import Division, choose_splits, divide_pool
from prep.planning.splitting.group_shares import divide_units
from prep.planning.splitting.groups import doubt_about_groups, groups_of, with_groups
from prep.planning.splitting.scores import as_fractions, scores_of
from prep.planning.splitting.settled import SettledSplits
from prep.planning.splitting.subsets import take_subset
from prep.sources.base import Catalog
from prep.sources.columns import GROUP, table_of
from prep.sources.labelling.rows import in_order, is_sorted

Images = Mapping[str, tuple[str, str]]  # Class and group by name.


def catalog_of(images: Images, split: str = "train", others: Sequence[str] = ()) -> Catalog:
    """Return a catalog of images in one split, and one image in each of the others."""
    classes = tuple(sorted({class_ for class_, _ in images.values()}, key=os.fsencode))
    splits = tuple(sorted((split, *others)))
    rows = [(split, class_, name, group) for name, (class_, group) in images.items()]
    rows += [(other, classes[0], f"{other}.jpg", "") for other in others]
    table = table_of(
        {
            "split": [splits.index(row[0]) for row in rows],
            "class": [classes.index(row[1]) for row in rows],
            "path": [row[2].encode() for row in rows],
            "size": [1] * len(rows),
            "mtime": [1] * len(rows),
        }
    )
    groups = pa.array([row[3].encode() or None for row in rows], pa.binary())
    table = table.append_column("group", groups.dictionary_encode().cast(GROUP))
    return in_order(Catalog(source="/photos", splits=splits, classes=classes, images=table))


def plain(sizes: Mapping[str, int], start: int = 0) -> dict[str, tuple[str, str]]:
    """Return images of classes of these sizes, in no groups."""
    return {
        f"{class_}/{number}.jpg": (class_, "")
        for class_, size in sizes.items()
        for number in range(start, start + size)
    }


def rules(**values: Any) -> SplitRules:
    return SplitRules.parse(values)


def divided(images: Images, seed: int = 0, **values: Any) -> Division:
    return divide_pool(catalog_of(images), rules(**values), seed)


def splits_of(catalog: Catalog) -> dict[str, str]:
    """Return the split of each image, by name."""
    names = [os.fsdecode(name) for name in catalog.images["path"].to_pylist()]
    numbers = catalog.images["split"].to_pylist()
    return {name: catalog.splits[n] for name, n in zip(names, numbers, strict=True)}


SIZES = st.dictionaries(st.sampled_from("abcdefgh"), st.integers(1, 40), min_size=1)
PERCENT = st.integers(1, 45).map(lambda percent: percent / 100)
SEEDS = st.integers(0, 3)
GROUPED = st.lists(
    st.tuples(st.sampled_from("abc"), st.sampled_from(["", *(f"g{n}" for n in range(12))])),
    min_size=12,
    max_size=80,
).map(lambda pairs: {f"{n}.jpg": pair for n, pair in enumerate(pairs)})


def unless_refused(make: Callable[[], Division]) -> Division | None:
    """Return what is made; None where few images leave a split without any, which is an error."""
    try:
        return make()
    except ConfigError as error:
        if "would have none" in str(error):
            return None
        raise


def test_a_score_is_the_hash_that_the_documents_say() -> None:
    page = (Path(__file__).parents[2] / "docs/splits.md").read_text()
    code = page.partition("```python\n")[2].partition("```")[0]
    names: dict[str, Any] = {}
    exec(code, names)
    for seed, name in ((7, "cat/1.jpg"), (0, "hôtel/ß.png")):
        expected = names["score"](name, seed)
        assert as_fractions(scores_of(seed, [name.encode()]))[0] == pytest.approx(expected, abs=0)
    assert as_fractions(np.array([2**64 - 1], np.uint64))[0] < 1


@given(
    sizes=st.lists(st.integers(0, 60), min_size=1, max_size=40),
    shares=st.lists(st.integers(1, 30), min_size=2, max_size=6),
)
def test_shares_are_exact_in_each_class_and_in_all(sizes: list[int], shares: list[int]) -> None:
    parts = [Fraction(share, sum(shares)) for share in shares]
    counts = apportion(sizes, parts)
    assert counts.sum(axis=1).tolist() == sizes
    wanted = np.outer(sizes, [float(part) for part in parts])
    assert (np.abs(counts - wanted) < 1).all()
    assert (np.abs(counts.sum(axis=0) - wanted.sum(axis=0)) < 1.000001).all()


@given(
    sizes=st.lists(st.integers(0, 60), min_size=1, max_size=30),
    counts=st.lists(st.integers(1, 20), min_size=1, max_size=4),
)
def test_counts_that_are_asked_for_are_had(sizes: list[int], counts: list[int]) -> None:
    everything = sum(sizes)
    if everything > sum(counts):
        parts = [Fraction(count, everything) for count in (*counts, everything - sum(counts))]
        assert apportion(sizes, parts).sum(axis=0)[:-1].tolist() == counts


@given(sizes=SIZES, test=PERCENT, val=PERCENT, seed=SEEDS)
def test_exact_shares_are_right_to_within_one_image_a_class(
    sizes: dict[str, int], test: float, val: float, seed: int
) -> None:
    found = unless_refused(lambda: divided(plain(sizes), seed, test=test, val=val))
    if found is None:
        return
    assert is_sorted(found.catalog.images)
    got = Counter((split, name[0]) for name, split in splits_of(found.catalog).items())
    for class_, size in sizes.items():
        shares = {"test": test, "val": val, "train": 1 - test - val}
        assert sum(got[split, class_] for split in shares) == size
        assert all(abs(got[split, class_] - of * size) < 1.000001 for split, of in shares.items())
    assert max(share.off for share in found.shares) < 1.000001


@given(sizes=SIZES, more=SIZES, test=PERCENT, seed=SEEDS)
def test_by_hash_no_image_moves_when_others_are_added(
    sizes: dict[str, int], more: dict[str, int], test: float, seed: int
) -> None:
    images = plain(sizes)
    ways: list[dict[str, Any]] = [{"test": test}, {"test": test, "folds": 3, "fold": 1}]
    for way in ways:
        before = unless_refused(lambda way=way: divided(images, seed, by="hash", **way))  # type: ignore[misc]
        after = unless_refused(
            lambda way=way: divided({**images, **plain(more, 100)}, seed, by="hash", **way)  # type: ignore[misc]
        )
        if before and after:
            assert splits_of(before.catalog).items() <= splits_of(after.catalog).items()


@given(images=GROUPED, share=PERCENT, by=st.sampled_from(["exact", "hash"]), seed=SEEDS)
def test_no_group_straddles(
    images: dict[str, tuple[str, str]], share: float, by: str, seed: int
) -> None:
    for more in ({}, {"folds": 2, "fold": 1}):
        values = {"test": share, "by": by, "group": "patient", **more}
        found = unless_refused(lambda values=values: divided(images, seed, **values))  # type: ignore[misc]
        if found is None:
            continue
        together: dict[str, set[str]] = {}
        for name, split in splits_of(found.catalog).items():
            together.setdefault(images[name][1] or name, set()).add(split)
        assert all(len(splits) == 1 for splits in together.values())
        assert doubt_about_groups(found.catalog) == ()


@pytest.mark.parametrize(
    ("by", "group"), [("exact", None), ("hash", None), ("exact", "patient"), ("hash", "patient")]
)
def test_each_image_is_held_out_in_one_fold(by: str, group: str | None) -> None:
    images = {f"{n}.jpg": ("ab"[n % 3 == 0], f"p{n // 4}") for n in range(200)}
    tested, held_out = set[frozenset[str]](), Counter[str]()
    for fold in range(4):
        found = divided(images, test=0.2, folds=4, fold=fold, by=by, group=group)
        splits = splits_of(found.catalog)
        tested.add(frozenset(name for name, split in splits.items() if split == "test"))
        held_out.update(name for name, split in splits.items() if split == "val")
    assert len(tested) == 1
    assert set(held_out) == images.keys() - next(iter(tested))
    assert set(held_out.values()) == {1}


def test_a_fold_is_the_part_of_the_scores_that_it_counts() -> None:
    images = plain({"a": 300})
    for fold in range(5):
        found = splits_of(divided(images, by="hash", folds=5, fold=fold).catalog)
        names = sorted(images)
        expected = (as_fractions(scores_of(0, map(str.encode, names))) * 5).astype(int) == fold
        assert [found[name] == "val" for name in names] == expected.tolist()


@given(sizes=SIZES, fractions=st.tuples(PERCENT, PERCENT), seed=SEEDS, least=st.integers(0, 5))
def test_subsets_nest(
    sizes: dict[str, int], fractions: tuple[float, float], seed: int, least: int
) -> None:
    catalog = catalog_of(plain({**sizes, "z": 40}))
    small, large = (
        set(splits_of(take_subset(catalog, SubsetRules.parse({"fraction": f, **more}), seed)))
        for f in sorted(fractions)
        for more in [{"min_per_class": least + 1, "per_class": least + 9}]
    )
    assert small <= large
    for class_, size in sizes.items():
        got = sum(name[0] == class_ for name in large)
        assert got == min(max(min(int(max(fractions) * size + 0.5), least + 9), least + 1), size)


@given(images=GROUPED, counts=st.tuples(st.integers(1, 30), st.integers(1, 30)), seed=SEEDS)
def test_subsets_of_groups_nest(
    images: dict[str, tuple[str, str]], counts: tuple[int, int], seed: int
) -> None:
    catalog = catalog_of(images)
    small, large = (
        set(splits_of(take_subset(catalog, SubsetRules(per_class=n), seed, groups_of(catalog))))
        for n in sorted(counts)
    )
    assert small <= large


def test_a_subset_is_of_each_split_or_of_one() -> None:
    catalog = divided(plain({"a": 40, "b": 20}), test=0.25).catalog
    found = take_subset(catalog, SubsetRules.parse("fraction=0.2"), 0)
    assert Counter(splits_of(found).values()) == {"train": 9, "test": 3}
    (ignored,) = found.ignored
    assert ignored.count == 48
    found = take_subset(catalog, SubsetRules.parse("per_class=2,of=train"), 0)
    assert Counter(splits_of(found).values()) == {"train": 4, "test": 15}
    with pytest.raises(ConfigError, match=r"subset\.of: got 'vla', and there is no such split"):
        take_subset(catalog, SubsetRules.parse("per_class=2,of=vla"), 0)
    with pytest.raises(ConfigError, match="would leave no image in 1 split, 'test'"):
        take_subset(catalog, SubsetRules.parse("fraction=0.04"), 0)
    found = take_subset(catalog_of(plain({"a": 40, "b": 2})), SubsetRules.parse("fraction=0.2"), 0)
    assert found.doubts == (
        "subset: 1 class without any image in it: 'b'; give min_per_class to keep some of each",
    )


def test_what_the_documents_say_of_hash_and_exact_was_measured_so() -> None:
    before = plain({f"c{n:02}": 50 for n in range(100)})
    after = {**before, **plain({f"c{n:02}": 5 for n in range(100)}, start=50)}
    moved = {}
    for by in ("hash", "exact"):
        then, now = (
            splits_of(divided(images, test=0.1, by=by).catalog) for images in (before, after)
        )
        tests = Counter(name[:3] for name, split in then.items() if split == "test")
        moved[by] = sum(now[name] != split for name, split in then.items())
        if by == "exact":
            assert set(tests.values()) == {5}
    assert moved["hash"] == 0
    assert 0 < moved["exact"] < 0.02 * len(before)


def test_the_order_of_writing_makes_no_difference_and_a_later_split_takes_nothing_of_test() -> None:
    images = plain({"a": 57, "b": 23})
    for by in ("hash", "exact"):
        one = divided(images, test=0.2, val=0.1, by=by)
        other = divided(images, val=0.1, test=0.2, by=by)
        assert splits_of(one.catalog) == splits_of(other.catalog)
        alone = splits_of(divided(images, test=0.2, by=by).catalog)
        both = splits_of(one.catalog)
        assert all(both[name] == "test" for name in alone if alone[name] == "test")


def test_another_seed_makes_other_splits() -> None:
    images = plain({"a": 100})
    one, other = (splits_of(divided(images, seed, val=0.5).catalog) for seed in (0, 1))
    assert one != other


def settled_as(splits: Mapping[str, str]) -> SettledSplits:
    names = sorted(set(splits.values()))
    return SettledSplits(
        names=pa.chunked_array([pa.array([n.encode() for n in splits], pa.large_binary())]),
        numbers=np.array([names.index(split) for split in splits.values()], np.int64),
        splits=tuple(names),
    )


@given(
    images=GROUPED,
    by=st.sampled_from(["exact", "hash"]),
    grouped=st.booleans(),
    folds=st.booleans(),
    data=st.data(),
)
def test_images_of_an_output_keep_their_splits(
    images: dict[str, tuple[str, str]], by: str, grouped: bool, folds: bool, data: Any
) -> None:
    settled = data.draw(
        st.dictionaries(st.sampled_from(sorted(images)), st.sampled_from(["train", "val", "old"]))
    )
    values: dict[str, Any] = {"folds": 3, "fold": 0} if folds else {"val": 0.3}
    values |= {"by": by, "group": "patient" if grouped else None}
    catalog = catalog_of(images)
    found = unless_refused(
        lambda: divide_pool(catalog, rules(**values), 0, settled_as(settled) if settled else None)
    )
    if found is not None:
        splits = splits_of(found.catalog)
        kept = {name: split for name, split in settled.items() if split != "old"}
        assert kept.items() <= splits.items()
        assert len(splits) == len(images)


def test_exact_shares_are_filled_up_with_new_images() -> None:
    before = plain({"a": 40, "b": 40})
    then = splits_of(divided(before, val=0.25).catalog)
    after = {**before, **plain({"a": 40}, start=40), **plain({"c": 8})}
    found = divide_pool(catalog_of(after), rules(val=0.25), 0, settled_as(then))
    now = splits_of(found.catalog)
    assert then.items() <= now.items()
    assert Counter(n[0] for n, split in now.items() if split == "val") == {"a": 20, "b": 10, "c": 2}


def test_new_images_of_a_group_go_where_it_is() -> None:
    images = {f"{n}.jpg": ("a", f"p{n % 10}") for n in range(60)}
    old = {name: pair for name, pair in images.items() if int(name[:-4]) < 30}
    then = splits_of(divided(old, val=0.3, group="patient").catalog)
    found = divide_pool(catalog_of(images), rules(val=0.3, group="p"), 0, settled_as(then))
    now = splits_of(found.catalog)
    assert {now[name] for name in images if images[name][1] == "p3"} == {then["3.jpg"]}
    assert doubt_about_groups(found.catalog) == ()


def test_shares_of_whole_groups_are_near_and_how_far_off_is_told() -> None:
    sizes = np.random.RandomState(3).geometric(0.1, 400)
    images = {
        f"{group}-{n}.jpg": ("abcd"[(group * 7 + n // 5) % 4], f"p{group}")
        for group, size in enumerate(sizes.tolist())
        for n in range(size)
    }
    found = divided(images, test=0.1, val=0.2, group="patient")
    for share in found.shares:
        assert share.images / share.of == pytest.approx(share.asked, abs=0.005)
        assert share.off <= 4
    groups = Counter(images[name][1] for name in splits_of(found.catalog))
    tests = {images[name][1] for name, split in splits_of(found.catalog).items() if split == "test"}
    # Groups of all sizes are tested on, and not the small ones alone.
    assert max(groups[g] for g in tests) >= 0.5 * max(groups.values())
    few = {f"{n}.jpg": ("a", f"p{n // 10}") for n in range(50)}
    found = divided(few, test=0.1, val=0.1, group="patient")
    assert {s.split: s.images for s in found.shares} == {"test": 10, "train": 30, "val": 10}
    assert max(share.off for share in found.shares) == pytest.approx(10)


@given(st.lists(st.lists(st.integers(0, 9), min_size=2, max_size=2), min_size=9, max_size=25))
def test_no_group_would_be_better_elsewhere(contents: list[list[int]]) -> None:
    contents = [[first + 1, second + 1] for first, second in contents]
    units = np.repeat(np.arange(len(contents)), [sum(of) for of in contents])
    classes = np.concatenate([np.repeat([0, 1], of) for of in contents])
    scores = scores_of(0, [b"%d" % unit for unit in units])
    shares = [Fraction(1, 5), Fraction(1, 5), Fraction(3, 5)]
    settled = np.full(len(units), -1, np.int64)
    chosen = divide_units(units, classes, scores, shares, settled)
    parts = chosen[np.unique(units, return_index=True)[1]]
    wanted = np.outer([float(share) for share in shares], np.bincount(classes))

    def distance(parts: npt.NDArray[np.int64]) -> float:
        got = np.zeros_like(wanted)
        np.add.at(got, parts, contents)
        return float(((got - wanted) ** 2 / wanted).sum())

    best = distance(parts)
    for unit, part in itertools.product(range(len(contents)), range(3)):
        moved = parts.copy()
        moved[unit] = part
        assert len(np.unique(moved)) < 3 or distance(moved) > best - 1e-9


def test_groups_may_be_told_by_names() -> None:
    images = {f"site{n % 7}/{n}.jpg": ("a", "") for n in range(70)}
    pattern = "^(?P<group>site[0-9])/"
    named = with_groups(catalog_of(images), rules(val=0.3, group=pattern))
    splits = splits_of(divide_pool(named, rules(val=0.3, group=pattern), 0).catalog)
    assert len({(name[:5], split) for name, split in splits.items()}) == 7
    with pytest.raises(ConfigError, match="is found in no name of an image, such as 'site0"):
        with_groups(catalog_of(images), rules(val=0.3, group="(?P<group>x+)"))
    bare = replace(catalog_of(images), images=catalog_of(images).images.drop_columns(["group"]))
    with pytest.raises(ConfigError, match=r"split\.group: got 'patient', a column, and the source"):
        with_groups(bare, rules(val=0.3, group="patient"))


def test_a_source_without_a_label_is_divided_too() -> None:
    images = {f"{n}.jpg": ("", "") for n in range(50)} | plain({"a": 10})
    found = divided(images, test=0.2)
    assert [(s.split, s.images) for s in found.shares] == [("test", 12), ("train", 48)]


def test_balance_tells_how_unlike_splits_are() -> None:
    found = balance_of({"train": {"a": 90, "b": 10}, "test": {"a": 10, "b": 0}})
    assert (found["test"].classes, found["test"].least, found["test"].most) == (1, 10, 10)
    assert found["test"].skew == pytest.approx(10 / 110)
    assert found["train"].share == pytest.approx(100 / 110)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("", "split: got ''; expected a mapping"),
        ({"by": "hash"}, "split: names no split to make"),
        ({"test": 1.5}, "split.test: got 1.5; expected a fraction between 0 and 1, or a whole"),
        ("test=1.0", "split.test: got '1.0'; expected a fraction"),
        ({"test": True}, "split.test: got true; expected a fraction"),
        ({"test": 0}, "split.test: got 0; expected"),
        ({"test": 0.6, "val": 0.4}, "split: got fractions that add up to 1; expected less than 1"),
        ({"test": 5, "by": "hash"}, "split.test: got 5 images, and by: hash takes a fraction"),
        ({"test": 0.1, "by": "random"}, "split.by: got 'random'; expected exact or hash"),
        ({"test": 0.1, "fold": 0}, "split.folds: missing; expected their number"),
        ({"folds": 5}, "split.fold: missing; expected the one to hold out, from 0"),
        ({"folds": 5, "fold": 5}, "split.fold: got 5; expected a number from 0 to 4"),
        ({"folds": 1, "fold": 0}, "split.folds: got 1; expected a whole number of at least 2"),
        ({"folds": 5, "fold": 0, "val": 0.1}, "split.val: got 0.1, and with folds, fold 0 is"),
        ({"train": 0.1, "of": "train"}, "split.of: got 'train', which is also a split to make"),
        ({"grop": "patient"}, "split.grop: got 'patient'; expected a fraction between 0 and 1, or"),
        ({"grop": "patient"}, "did you mean group?"),
        ({"a/b": 0.1}, "split.a/b: a split can't be called 'a/b'"),
        ({"test": 0.1, "group": "(?P<group>"}, "which is no regular expression"),
        ({"test": 0.1, "group": 3}, "split.group: got 3; expected the name of a column"),
    ],
)
def test_rules_that_can_not_be_are_refused_in_a_line(given: Any, told: str) -> None:
    with pytest.raises(ConfigError) as error:
        SplitRules.parse(given)
    assert told in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"min_per_class": 2}, "subset: leaves no image out; expected fraction, per_class"),
        ({"fraction": 1}, "subset.fraction: got 1; expected a number between 0 and 1"),
        ({"per_class": 0.5}, "subset.per_class: got 0.5; expected a whole number of at least 1"),
        ({"per_class": 5, "min_per_class": 6}, "subset.min_per_class: got 6; expected 5 at most"),
        ({"per_clas": 5}, "subset.per_clas: unknown key; did you mean 'per_class'?"),
        ({"per_class": 5, "of": "../x"}, "subset.of: a split can't be called"),
    ],
)
def test_subsets_that_can_not_be_are_refused(given: Any, told: str) -> None:
    with pytest.raises(ConfigError) as error:
        SubsetRules.parse(given)
    assert told in str(error.value)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"test": 60}, "split: got test: 60, which leaves none of the 60 images of split 'train'"),
        ({"test": 59, "dev": 0.5}, "which leaves none of the 60 images"),
        ({"val": 0.1}, "split.val: the source has a split 'val' already; give the new one another"),
        ({"Train": 0.1}, "split.Train: the source has a split 'train' already; give the new one"),
        ({"VAL": 0.1, "val": 0.1}, "split.VAL: differs from 'val' only in case, and some disks"),
        (
            {"folds": 2, "fold": 0},
            "split.folds: the source has a split 'val' already, as the fold that is",
        ),
        ({"test": 0.1, "of": "trian"}, "split.of: got 'trian', and the source has no such split"),
        (
            {"test": 0.001},
            "split.test: got 0.001, and split 'test' would have none of the 60 images",
        ),
    ],
)
def test_what_the_images_do_not_allow_is_refused(values: dict[str, Any], told: str) -> None:
    with pytest.raises(PrepError) as error:
        divide_pool(catalog_of(plain({"a": 60}), others=["val"]), rules(**values), 0)
    assert told in str(error.value)


def test_the_pool_is_the_only_split_or_that_to_train_on() -> None:
    found = divide_pool(catalog_of(plain({"a": 60}), "pictures"), rules(test=6), 0)
    assert found.catalog.splits == ("pictures", "test")
    found = divide_pool(catalog_of(plain({"a": 60}), others=["val", "x"]), rules(test=6), 0)
    assert Counter(splits_of(found.catalog).values()) == {"train": 54, "test": 6, "val": 1, "x": 1}
    with pytest.raises(ConfigError, match=r"split\.of: got 'train', the default, and the source"):
        divide_pool(catalog_of(plain({"a": 60}), "a", others=["b"]), rules(test=6), 0)


def test_splits_are_chosen_among_those_made() -> None:
    catalog = divided(plain({"a": 60}), test=6, val=12).catalog
    assert Counter(splits_of(choose_splits(catalog, ("val", "test"))).values()) == {
        "val": 12,
        "test": 6,
    }
    with pytest.raises(SourceError, match="no images of 'dev' in the source; splits found or made"):
        choose_splits(catalog, ("dev", "test"))


@settings(max_examples=30)
@given(sizes=st.lists(st.integers(0, 3), min_size=2, max_size=200), counts=st.integers(1, 3))
def test_many_small_classes_share_a_count(sizes: list[int], counts: int) -> None:
    everything = sum(sizes)
    if everything > 2 * counts:
        shares = [Fraction(counts, everything)] * 2
        shares.append(1 - sum(shares))
        assert apportion(sizes, shares).sum(axis=0)[:2].tolist() == [counts, counts]
