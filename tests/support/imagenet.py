"""ImageNet in miniature, in the shapes in which people have it."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import cv2
import numpy as np

#: Wnids with their ILSVRC2012_ID, which are in another order, and their names.
CLASSES = {
    "n01440764": (4, "tench, Tinca tinca"),
    "n02012849": (2, "crane"),
    "n03126707": (3, "crane"),
    "n03710637": (5, "maillot"),
    "n03710721": (1, "maillot, tank suit"),
}
WNIDS = [*CLASSES]
#: The class of each validation image, by its number.
VALIDATION = dict(enumerate(["n03710721", "n01440764", "n03126707", "n02012849", "n01440764"], 1))
TRAIN = {wnid: [f"{wnid}_{number}.JPEG" for number in (10026, 7)] for wnid in WNIDS}
VAL = [f"ILSVRC2012_val_{number:08}.JPEG" for number in VALIDATION]
_GREY = cv2.imencode(".jpg", np.full((64, 64, 3), 128, np.uint8))[1].tobytes()
TEST = ["ILSVRC2012_test_00000001.JPEG", "ILSVRC2012_test_00000002.JPEG"]


def contents(name: str) -> bytes:
    """Return an image, of one colour, with the last part of its name in a comment."""
    comment = name.rpartition("/")[2].encode()
    segment = b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment
    return _GREY[:2] + segment + _GREY[2:]


def tar_of(names: Iterable[str] | Mapping[str, bytes]) -> bytes:
    """Return a tar file of images, or of other members; names that end in / are folders."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for name in names:
            data = names[name] if isinstance(names, Mapping) else contents(name)
            member = tarfile.TarInfo(name.rstrip("/"))
            if name.endswith("/"):
                member.type, data = tarfile.DIRTYPE, b""
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return file.getvalue()


def class_tars() -> dict[str, bytes]:
    """Return the tars of all classes, by name."""
    return {f"{wnid}.tar": tar_of(names) for wnid, names in TRAIN.items()}


def train_tar() -> bytes:
    """Return the tar of class tars."""
    return tar_of(class_tars())


def val_tar() -> bytes:
    """Return the tar of validation images, which are in no order."""
    return tar_of([*VAL[2:], *VAL[:2]])


def test_tar() -> bytes:
    """Return the tar of test images, which lie in a folder."""
    return tar_of(["test/", *(f"test/{name}" for name in TEST)])


def ground_truth(numbers: Mapping[int, str] = VALIDATION) -> str:
    """Return ILSVRC2012_validation_ground_truth.txt."""
    return "".join(f"{CLASSES[wnid][0]}\n" for _, wnid in sorted(numbers.items()))


def meta_mat() -> bytes:
    """Return meta.mat: the leaves and an inner node of the hierarchy."""
    from scipy.io import savemat

    kinds = [("ILSVRC2012_ID", "O"), ("WNID", "O"), ("words", "O"), ("num_children", "O")]
    leaves = sorted((number, wnid, words, 0) for wnid, (number, words) in CLASSES.items())
    inner = (len(CLASSES) + 1, "n00021939", "artifact, artefact", 4)
    file = io.BytesIO()
    savemat(file, {"synsets": np.array([[row] for row in [*leaves, inner]], kinds)})
    return file.getvalue()


def map_clsloc() -> str:
    """Return map_clsloc.txt of the devkit of 2015."""
    rows = sorted((number, wnid, words) for wnid, (number, words) in CLASSES.items())
    return "".join(f"{w} {n} {words.split(',')[0].replace(' ', '_')}\n" for n, w, words in rows)


def synset_mapping() -> str:
    """Return LOC_synset_mapping.txt."""
    return "".join(f"{wnid} {words}\n" for wnid, (_, words) in CLASSES.items())


def val_solution(numbers: Mapping[int, str] = VALIDATION) -> str:
    """Return LOC_val_solution.csv: in no order, with one box or two an image."""
    rows = [
        f"ILSVRC2012_val_{number:08},{f'{wnid} 5 6 70 80 ' * (1 + number % 2)}\r\n"
        for number, wnid in reversed(numbers.items())
    ]
    return "ImageId,PredictionString\r\n" + "".join(rows)


def devkit_tar(truth: str | None = None) -> bytes:
    """Return ILSVRC2012_devkit_t12.tar.gz."""
    data = "ILSVRC2012_devkit_t12/data/"
    members = {
        f"{data}meta.mat": meta_mat(),
        f"{data}ILSVRC2012_validation_ground_truth.txt": (truth or ground_truth()).encode(),
    }
    return gzip.compress(tar_of(members))


def write(root: Path, files: Mapping[str, bytes | str]) -> Path:
    """Write files below a folder, which is returned."""
    for name, data in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data.encode() if isinstance(data, str) else data)
    return root


def downloads() -> dict[str, bytes]:
    """Return ILSVRC2012 as it is downloaded."""
    return {
        "ILSVRC2012_img_train.tar": train_tar(),
        "ILSVRC2012_img_val.tar": val_tar(),
        "ILSVRC2012_img_test_v10102019.tar": test_tar(),
        "ILSVRC2012_devkit_t12.tar.gz": devkit_tar(),
    }


def train_folders(prefix: str = "train/") -> dict[str, bytes]:
    """Return the training images, unpacked into class folders."""
    return {f"{prefix}{w}/{name}": contents(name) for w, names in TRAIN.items() for name in names}


def val_folder(prefix: str = "val/") -> dict[str, bytes]:
    """Return the validation images, unpacked into one folder."""
    return {prefix + name: contents(name) for name in VAL}


def kaggle() -> dict[str, bytes | str]:
    """Return Kaggle's tree."""
    data, kit = "ILSVRC/Data/CLS-LOC/", "ILSVRC/devkit/data/ILSVRC2015_clsloc_validation_"
    return {
        **train_folders(f"{data}train/"),
        **val_folder(f"{data}val/"),
        **{f"{data}test/{name}": contents(name) for name in TEST},
        "ILSVRC/ImageSets/CLS-LOC/val.txt": "ILSVRC2012_val_00000001 1\n",
        "ILSVRC/devkit/data/map_clsloc.txt": map_clsloc(),
        f"{kit}ground_truth.txt": ground_truth(),
        f"{kit}blacklist.txt": "3\n",
        "LOC_synset_mapping.txt": synset_mapping(),
        "LOC_val_solution.csv": val_solution(),
        "LOC_train_solution.csv": "ImageId,PredictionString\nn01440764_7,n01440764 1 2 3 4 \n",
    }
