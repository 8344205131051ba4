"""The keys about where images are, and which of them are wanted."""

from __future__ import annotations

from typing import get_args

from prep.settings.choices import Layout, OnMissing, OnStray, Target, Unlabelled
from prep.settings.key import REQUIRED, Key

#: By name, in the order in which people are shown them.
SOURCE_KEYS: dict[str, Key] = {
    "source": Key(
        default=REQUIRED,
        help="Where the images are: a folder, an archive (tar or zip) or a list (CSV, JSON Lines, "
        "Parquet and others), as a path or a URL. Several: a list of these, or a mapping of "
        "split to source, in JSON; or this flag several times.",
        kind="the path or URL of a folder, an archive or a list, or several of these",
        decides_bytes=True,
        part="images",
    ),
    "output": Key(
        default=REQUIRED,
        help="Folder for shards, mean and report, or its URL; made if missing.",
        kind="the path of a folder, or a URL",
        decides_bytes=False,
    ),
    "label_map": Key(
        default=None,
        help="JSON file that maps class to number or one-hot list. Without it, prep uses "
        "SOURCE/label_map.json, or else numbers the classes by name.",
        kind="the path or URL of a JSON file, or a mapping of class to number or one-hot list",
        decides_bytes=True,
        part="label map",
    ),
    "storage_options": Key(
        default=None,
        help="Options of the storages of URLs, as JSON or @FILE: for all URLs, or by key "
        "(source, output, label_map, mean_file, images). They are kept secret.",
        kind="a mapping of options, or of source, output, label_map, mean_file and images to such "
        "mappings",
        decides_bytes=False,
    ),
    "splits": Key(
        default=None,
        help="Splits to prepare, comma-separated; all by default.",
        kind="a list of names of splits in the source",
        decides_bytes=True,
        part="splits",
    ),
    "layout": Key(
        default="auto",
        help="What SOURCE is: folders (classes, or splits that hold classes), an archive, imagenet "
        "as it is downloaded, a list, or tables, samples or records with images. auto goes by "
        "names and contents, says what it found, and is an error where that would be a guess.",
        words=get_args(Layout),
        decides_bytes=False,  # If it makes others of the images, these show it.
    ),
    "on_stray": Key(
        default="fail",
        help="If an image lies outside any class folder: fail before any work, or skip it.",
        words=get_args(OnStray),
        decides_bytes=False,
    ),
    "columns": Key(
        default=None,
        help="Columns of a list, such as image=path,label=dx,split=set,group=patient; by their "
        "usual names, if not given.",
        kind="a mapping of image, label, split and group to names of columns",
        decides_bytes=True,
        part="images",
    ),
    "images": Key(
        default=None,
        help="What the paths in a list are relative to: a folder or an archive, or its URL; by "
        "default, the folder of the list.",
        kind="the path or URL of a folder or an archive",
        decides_bytes=True,
        part="images",
    ),
    "extension": Key(
        default=None,
        help="Extension of the images, such as jpg, for a list that names them without.",
        kind="a file extension, such as jpg",
        decides_bytes=True,
        part="images",
    ),
    "on_missing": Key(
        default="fail",
        help="If an image of a list is not there: fail before any work, or skip it.",
        words=get_args(OnMissing),
        decides_bytes=False,  # If it makes others of the images, these show it.
    ),
    "unlabelled": Key(
        default="skip",
        help="Images without a label, such as ImageNet's test images: skip them, or keep them with "
        "the label -1.",
        words=get_args(Unlabelled),
        decides_bytes=True,
        part="images",
    ),
    "target": Key(
        default="class",
        help="What a label says of its image: class (its one class), multi (any number of "
        "classes), value (a number, such as an age), or soft (a number for each class, such as a "
        "probability).",
        words=get_args(Target),
        decides_bytes=True,
    ),
    "exclude": Key(
        default=None,
        help="File with the images to leave out, one in a line: names, or numbers of ImageNet's "
        "validation images.",
        kind="the path or URL of a text file, or a list of names",
        decides_bytes=True,
        part="images",
    ),
    "labels": Key(
        default=None,
        help="How labels are made of what the source says, such as from=leaf or order=classes.txt: "
        "from, names, order, rename, include, exclude and separator; as KEY=VALUE,… or JSON.",
        kind="a mapping of from, names, order, rename, include, exclude and separator",
        decides_bytes=True,
        part="images",
    ),
    "label_offset": Key(
        default=0,
        help="The number of the first class in records and samples whose labels are numbers: 1 for "
        "TF-Slim's ImageNet. It is subtracted from them.",
        bounds=(0, None),
        decides_bytes=True,
        part="label map",
    ),
    "first_label": Key(
        default=0,
        help="The number of the first class, where prep numbers the classes: 0, or 1 as TF-Slim "
        "has it, whose 0 stands for the background.",
        bounds=(0, 1),
        decides_bytes=True,
        part="label map",
    ),
    "split": Key(
        default=None,
        help="Make splits of one: test and val, or other names, each a fraction or a number of "
        "images, such as test=0.1,val=0.1; with of, by (exact or hash), group, folds and fold; as "
        "KEY=VALUE,… or JSON.",
        kind="a mapping of names of splits to fractions or numbers of images, with of, by, group, "
        "folds and fold",
        decides_bytes=True,
        part="images",
    ),
    "subset": Key(
        default=None,
        help="Take only some images of each class in each split: fraction, per_class, "
        "min_per_class and of (one split alone); as KEY=VALUE,… or JSON.",
        kind="a mapping of fraction, per_class, min_per_class and of",
        decides_bytes=True,
        part="images",
    ),
    "unpack": Key(
        default=False,
        help="Unpack an archive that is compressed as a whole (.tar.gz), which can't be read in "
        "parts, into the output first.",
        kind="true or false",
        decides_bytes=False,
    ),
    "image_type": Key(
        default=None,
        help="Take only files with this extension (in any case), such as JPEG.",
        kind="a file extension, such as JPEG",
        decides_bytes=True,
        part="images",
    ),
}
