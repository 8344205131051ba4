"""Images that look alike: their hashes, pairs of these, and groups."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from prep.images.likeness.alike import Links
from prep.images.likeness.hashing import MIRROR, UNKNOWN, Hashes, hash_pixels
from prep.images.likeness.neighbours import RADIUS, find_neighbours
from prep.images.processor import ImageProcessor
from prep.settings.image_settings import ImageSettings, Size
from tests.support.pictures import Pixels, jpeg, picture

HASHED = ImageProcessor(ImageSettings(), hashed=True)


def hash_of(pixels: Pixels, **options: int) -> int:
    return HASHED(jpeg(pixels, **options)).likeness


def halved(pixels: Pixels) -> Pixels:
    height, width, _ = pixels.shape
    return np.asarray(Image.fromarray(pixels).resize((width // 2, height // 2)))


def apart(one: int, other: int) -> int:
    return (one ^ other).bit_count()


def textured(seed: int) -> Pixels:
    """Return a picture with coarse and fine structure, as photos have."""
    fine = np.random.default_rng(seed).integers(0, 256, (24, 30, 3), np.uint8)
    smooth = Image.fromarray(fine).resize((500, 400), Image.Resampling.BICUBIC)
    return (picture(400, 500, seed) // 2 + np.asarray(smooth) // 2).astype(np.uint8)


PHOTOS = [textured(seed) for seed in range(40)]


@pytest.mark.parametrize(
    "copy",
    [
        lambda p: hash_of(p, quality=30),
        lambda p: hash_of(halved(p)),
        lambda p: hash_of(np.clip(p * 1.2 + 10, 0, 255).astype(np.uint8)),
        lambda p: hash_of(p[6:-6, 8:-8]),
        lambda p: hash_of(p[:, ::-1]) ^ MIRROR,
    ],
    ids=["quality 30", "half size", "brighter", "3 % cut off", "mirrored"],
)
def test_copies_have_hashes_near_that_of_the_original(copy: Callable[[Pixels], int]) -> None:
    assert max(apart(hash_of(photo), copy(photo)) for photo in PHOTOS) <= RADIUS


def test_other_pictures_have_hashes_far_from_each_other() -> None:
    hashes = [hash_of(photo) for photo in PHOTOS]
    pairs = itertools.combinations(hashes, 2)
    assert min(min(apart(a, b), apart(a ^ MIRROR, b)) for a, b in pairs) > RADIUS


def test_copies_of_photos_are_found_and_no_other_photos(photos: Path) -> None:
    files = sorted(photos.glob("*/*/*.JPEG"))[::6]
    originals = [(path.read_bytes(), np.asarray(Image.open(path).convert("RGB"))) for path in files]
    hashes = [HASHED(data).likeness for data, _ in originals]
    for (_, pixels), original in zip(originals, hashes, strict=True):
        assert apart(original, hash_of(halved(pixels), quality=30)) <= RADIUS
        assert apart(original ^ MIRROR, hash_of(pixels[:, ::-1])) <= RADIUS
    assert by_pairs(np.array(hashes, np.uint64), RADIUS) == {}


def test_the_hash_of_a_mirrored_crop_is_that_of_the_crop_with_some_bits_turned() -> None:
    for crop in PHOTOS[:8]:
        square = np.ascontiguousarray(crop[:256, :256])
        mirrored = np.ascontiguousarray(square[:, ::-1])
        assert hash_pixels(mirrored) == hash_pixels(square) ^ MIRROR


def test_the_hash_of_a_picture_never_changes() -> None:
    y, x = np.mgrid[:256, :256]
    planes = (x * x + 3 * y * y) // 700, 2 * x * y // 300, x + y
    square = np.stack([plane % 256 for plane in planes], axis=-1).astype(np.uint8)
    assert f"{hash_pixels(square):016x}" == "068a1f817f4ea40f"


def test_a_gray_crop_has_the_hash_of_the_same_in_colour() -> None:
    gray = PHOTOS[0][:256, :256, 0]
    colour = np.repeat(gray[..., None], 3, axis=2)
    assert hash_pixels(np.ascontiguousarray(gray)) == hash_pixels(colour)


def test_padding_makes_no_images_look_alike() -> None:
    """Or tall images on a wide background would: most of each result is the same."""
    padded = ImageProcessor(ImageSettings(size=Size(64, 384), fit="pad"), hashed=True)
    whole = ImageProcessor(ImageSettings(size=64, fit="shorter"), hashed=True)
    for data in map(jpeg, PHOTOS[:4]):
        assert padded(data).likeness == whole(data).likeness != UNKNOWN


def test_an_image_of_one_colour_is_like_no_other() -> None:
    assert hash_of(np.full((300, 400, 3), 200, np.uint8)) == UNKNOWN
    assert Links.of(np.zeros(5, np.uint64)).groups().tolist() == []


def test_hashes_are_made_only_if_asked() -> None:
    assert ImageProcessor(ImageSettings())(jpeg(PHOTOS[0])).likeness == UNKNOWN


def by_pairs(hashes: Hashes, radius: int) -> dict[tuple[int, int], int]:
    found = {}
    for (i, one), (j, other) in itertools.combinations(enumerate(hashes.tolist()), 2):
        distance = min(apart(one, other), apart(one ^ MIRROR, other))
        if distance <= radius:
            found[i, j] = distance
    return found


def turned(value: int, bits: Iterable[int]) -> int:
    for bit in bits:
        value ^= 1 << bit
    return value


@st.composite
def clumped(draw: st.DrawFn) -> Hashes:
    """Hashes of which many are near each other, mirrored or not."""
    word = st.integers(1, 2**64 - 1)
    found = draw(st.lists(word, min_size=1, max_size=8))
    for value in [*found]:
        for _ in range(draw(st.integers(0, 6))):
            bits = draw(st.lists(st.integers(0, 63), max_size=13))
            found.append(turned(value, bits) ^ draw(st.sampled_from([0, MIRROR])))
    return np.unique(np.array([value for value in found if value != UNKNOWN], np.uint64))


@given(clumped(), st.integers(0, RADIUS))
def test_all_pairs_within_the_distance_are_found(hashes: Hashes, radius: int) -> None:
    found = find_neighbours(hashes, radius)
    pairs = zip(found.first.tolist(), found.second.tolist(), strict=True)
    assert dict(zip(pairs, found.distance.tolist(), strict=True)) == by_pairs(hashes, radius)
    assert found.radius == radius


def test_all_pairs_among_many_are_found_in_buckets_of_any_size() -> None:
    dice = random.Random(0)
    words = [dice.getrandbits(64) for _ in range(1000)]
    words += [
        turned(word, dice.sample(range(64), dice.randrange(13))) ^ dice.choice([0, MIRROR])
        for word in words
    ]
    hashes = np.unique(np.array(words, np.uint64))
    found = find_neighbours(hashes)
    pairs = set(zip(found.first.tolist(), found.second.tolist(), strict=True))
    assert pairs == by_pairs(hashes, RADIUS).keys()
    assert len(pairs) > 700


def around(word: int, number: int, flips: int) -> Hashes:
    """Return hashes that differ from a word in a few bits."""
    dice = np.random.default_rng(0)
    hashes = np.full(number, word, np.uint64)
    for _ in range(flips):
        hashes ^= np.uint64(1) << dice.integers(0, 64, number, np.uint64)
    return np.unique(hashes)


WORD = 0x9D3C_55A1_0F7E_8421
WHITE_PAGES = around(WORD, 2500, 4)
WHITE_PAGES[::3] ^= np.uint64(MIRROR)
# Frames of many videos, which differ in 2 bits.
FRAMES = np.unique(
    np.array(
        [turned(w, [at]) for w in around(WORD, 450, 64).tolist() for at in range(60)],
        np.uint64,
    )
)


@settings(max_examples=8)
@given(clumped(), st.sampled_from(["pages", "a million pages"]))
def test_pairs_of_others_are_found_however_many_are_alike(hashes: Hashes, many: str) -> None:
    others = hashes[[min(apart(int(h), WORD), apart(int(h) ^ MIRROR, WORD)) > 15 for h in hashes]]
    both = np.unique(np.concatenate([WHITE_PAGES, others]))
    with pytest.MonkeyPatch.context() as patch:
        if many == "a million pages":  # Too many to compare, unlike as many other images.
            patch.setattr("prep.images.likeness.neighbours._COMPARISONS", 6_000_000)
        found = find_neighbours(both)
    at = {
        int(row): int(value)
        for value, row in zip(others, np.searchsorted(both, others), strict=True)
    }
    pairs = {
        (at[a], at[b])
        for a, b in zip(found.first.tolist(), found.second.tolist(), strict=True)
        if a in at
    }
    values = others.tolist()
    assert pairs == {(values[a], values[b]) for a, b in by_pairs(others, RADIUS)}
    assert found.radius == RADIUS
    assert not found.crowded[[*at]].any()


@pytest.mark.parametrize("hashes", [WHITE_PAGES, FRAMES], ids=["pages", "frames"])
def test_images_that_look_like_very_many_are_one_group_of_which_one_stays(hashes: Hashes) -> None:
    rows = np.concatenate([hashes, hashes[:9]])
    links = Links.of(rows)
    assert links.pairs.radius == RADIUS
    assert links.crowded == len(rows)
    assert len(links.pairs.first) <= 4 * len(rows) + 500_000
    for first, second, distance, mirrored, *_ in zip(*links.pairs[:4], strict=True):
        one, other = int(links.values[int(first)]), int(links.values[int(second)])
        assert distance == apart(one ^ (MIRROR if mirrored else 0), other)
    groups = links.groups()
    clump = links.pairs.clump[links.node]
    assert (clump >= 0).all()
    redundant = links.redundant(np.arange(len(rows)))
    kept = np.setdiff1d(np.arange(len(rows)), [image.row for image in redundant])
    words = 1 if hashes is WHITE_PAGES else 450
    assert len(np.unique(groups)) == len(np.unique(clump)) == len(kept) == words
    for image in redundant[::50]:
        mirrored = MIRROR if image.mirrored else 0
        assert apart(int(rows[image.row]) ^ mirrored, int(rows[image.kept])) == image.distance
        assert image.distance <= RADIUS
    # All look like the first one and its kind, which look like each other.
    some = groups == 0
    first = np.arange(len(rows)) == 0
    assert np.array_equal(links.like_any(first), some & ~first)
    assert np.array_equal(links.like_any(some), some)


def test_where_there_are_too_many_images_to_compare_fewer_bits_may_differ(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("prep.images.likeness.neighbours._COMPARISONS", 600_000)
    hashes = np.random.default_rng(0).integers(1, 2**64, 1000, np.uint64)
    found = find_neighbours(np.unique(hashes))
    assert 0 < found.radius < RADIUS


@given(clumped(), st.randoms(use_true_random=False))
def test_groups_are_those_that_links_join(hashes: Hashes, dice: random.Random) -> None:
    rows = np.array(dice.choices(hashes.tolist(), k=2 * len(hashes)), np.uint64)
    joined = {row: {row} for row in range(len(rows))}
    for i, j in itertools.combinations(range(len(rows)), 2):
        one, other = int(rows[i]), int(rows[j])
        if min(apart(one, other), apart(one ^ MIRROR, other)) <= RADIUS:
            union = joined[i] | joined[j]
            joined.update(dict.fromkeys(union, union))
    expected = {frozenset(group) for group in joined.values() if len(group) > 1}
    groups = Links.of(rows).groups()
    found = [frozenset(np.flatnonzero(groups == n).tolist()) for n in range(groups.max() + 1)]
    assert set(found) == expected
    assert [min(group) for group in found] == sorted(min(group) for group in found)


@given(clumped(), st.randoms(use_true_random=False))
def test_of_those_left_no_two_look_alike_and_what_is_left_out_looks_like_one(
    hashes: Hashes, dice: random.Random
) -> None:
    rows = np.array(dice.choices(hashes.tolist(), k=2 * len(hashes)), np.uint64)
    rank = np.array(dice.sample(range(len(rows)), len(rows)))
    redundant = Links.of(rows).redundant(rank)
    gone = {image.row for image in redundant}
    left = [row for row in range(len(rows)) if row not in gone]
    assert len(redundant) == len(gone)
    assert by_pairs(rows[left], RADIUS) == {}
    for image in redundant:
        assert image.kept in left
        assert rank[image.kept] < rank[image.row]
        mirrored = MIRROR if image.mirrored else 0
        assert apart(int(rows[image.row]) ^ mirrored, int(rows[image.kept])) == image.distance


def test_images_with_the_same_contents_are_no_pair() -> None:
    hashes = np.array([7, 7, 7, 8], np.uint64)
    same = Links.of(hashes[:3], np.array([4, 4, 4]))
    assert len(same.pairs.first) == 0
    links = Links.of(hashes, np.array([4, 4, 5, 6]))
    splits = np.array([0, 1, 1, 2])
    assert links.across(splits).tolist() == [True, True]
    # The first two are the same image: the third looks like the first, and the fourth like all.
    assert links.like_any(splits == 0).tolist() == [False, False, True, True]
    assert links.like_any(splits == 1).tolist() == [True, True, True, True]
