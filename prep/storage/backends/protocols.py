"""Protocols of URLs: which can be a source or an output, and what opens them."""

from __future__ import annotations

from typing import Any

from prep.settings.distribution import install_command

# The extra that brings a protocol's package; for others, fsspec names the package.
_EXTRAS = {
    **dict.fromkeys(("s3", "s3a"), "s3"),
    **dict.fromkeys(("gs", "gcs"), "gcs"),
    **dict.fromkeys(("abfs", "abfss", "az"), "azure"),
    **dict.fromkeys(("sftp", "ssh"), "sftp"),
    **dict.fromkeys(("webdav", "webdavs"), "webdav"),
}
#: Protocols of single files.
WEB = ("http", "https")
_UNPACK = "is an archive, which is not read as it is; unpack it, and give the folder"
_UNWRAP = "stands before the URL of another storage; give that URL alone"
_ONE_PROCESS = (
    "is seen by one process only, and others do the work; expected the path of a folder that all "
    "see, or the URL of a storage"
)
_CHECK_OUT = "is no storage of images; make a copy of it, and give the folder"
# Why a protocol that fsspec knows is not taken, and what to do. Whatever is not here has folders
# that can be listed, read from and written to, as far as its package and its server let one.
_REFUSED = {
    **dict.fromkeys(("zip", "tar", "libarchive"), _UNPACK),
    **dict.fromkeys(
        (
            *("blockcache", "filecache", "simplecache", "cached", "reference", "generic", "dir"),
            *("async_wrapper", "asyncwrapper", "asynclocal"),
        ),
        _UNWRAP,
    ),
    **dict.fromkeys(("memory", "data", "dask", "pyscript"), _ONE_PROCESS),
    **dict.fromkeys(
        ("git", "github", "gist", "dvc", "wandb", "jlab", "jupyter"),
        _CHECK_OUT,
    ),
    "adl": "is Azure Data Lake Gen1, which is retired; of Gen2, give abfs://CONTAINER/PATH",
}


def filesystem_class(protocol: str) -> Any:
    """Return the fsspec class that opens URLs of a protocol.

    Raises:
        ValueError: there is none.
        ImportError: its package is not installed.
    """
    if protocol in ("gs", "gcs"):
        # Not gcsfs.GCSFileSystem, which asks over gRPC, for each bucket, whether it is of a kind
        # with folders, and waits for a minute where that is not answered.
        from gcsfs.core import GCSFileSystem

        return GCSFileSystem
    if protocol in ("abfs", "abfss", "az"):
        from prep.storage.backends.azure import Azure

        return Azure
    if protocol in ("webdav", "webdavs"):
        from prep.storage.backends.webdav import WebDav

        return WebDav
    import fsspec

    return fsspec.get_filesystem_class(protocol)


def require_known(protocol: str, *, output: bool, folder: bool) -> None:
    """Raise ValueError, which says what to do, if a protocol can't be opened for this use.

    Args:
        output: whether it is to be written to.
        folder: whether it is to be listed.
    """
    if protocol in _REFUSED:
        raise ValueError(f"{protocol}:// {_REFUSED[protocol]}")
    if protocol in WEB and output:
        raise ValueError(
            f"{protocol}:// can neither be listed nor written to; expected the path of a folder, "
            "or the URL of a storage (of WebDAV: webdav:// or webdavs://)"
        )
    if protocol in WEB and folder:
        raise ValueError(
            f"{protocol}:// has no folders whose images could be listed with their sizes and "
            "times; make a copy (wget --recursive --no-parent), and give the folder"
        )
    try:
        filesystem_class(protocol)
    except ValueError:
        raise ValueError(
            f"protocol {protocol!r} is unknown; expected the path of a folder, or a URL such as "
            "s3://, gs://, abfs://, webdavs://, hdfs:// or sftp://"
        ) from None
    except ImportError as error:
        extra = _EXTRAS.get(protocol)
        remedy = install_command(extra) if extra else str(error).rstrip(".")
        raise ValueError(f"{protocol}:// needs a package that is not installed: {remedy}") from None
