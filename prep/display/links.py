"""Addresses of the dashboard and of files, as the user's browser reaches them."""

from __future__ import annotations

import importlib.util
import ipaddress
import json
import os
import socket
from collections.abc import Collection, Mapping
from pathlib import Path
from urllib.parse import quote, urlsplit

import psutil

from prep.storage.urls import is_url

_DASK_PAGE = "/status"
_DEFAULT_TEMPLATE = "{scheme}://{host}:{port}/status"


def dashboard_links(link: str, page: str = "status") -> dict[str, str]:
    """Return addresses of a page of the dashboard by name, the likeliest to work first.

    Args:
        link: the client's ``dashboard_link``.
    """
    from prep.execution.dask import link_template  # It takes a while to load.

    return links_from(
        link,
        page=page,
        template=link_template() or _DEFAULT_TEMPLATE,
        environ=os.environ,
        server=_jupyter_base_url(os.environ),
        own_hosts=_own_hosts(),
    )


def address_of(place: str) -> str:
    """Return the address in a browser of a path or URL.

    >>> address_of("/data/my out/report.html")
    'file:///data/my%20out/report.html'
    """
    return place if is_url(place) else Path(place).absolute().as_uri()


def links_from(
    link: str,
    *,
    page: str,
    template: str,
    environ: Mapping[str, str],
    server: str | None,
    own_hosts: Collection[str],
) -> dict[str, str]:
    """Return the addresses of :func:`dashboard_links` from all that they depend on.

    Args:
        template: Dask's ``distributed.dashboard.link``; where the user has set it, it alone counts.
        environ: the environment; JupyterHub says there under which path its proxy is.
        server: the base URL of the Jupyter server that can forward to this machine's ports.
        own_hosts: names and addresses of this machine, which such proxies call by the port alone.

    >>> links_from("http://127.0.0.1:8787/status", page="prep", environ={}, server="/",
    ...     template="{scheme}://{host}:{port}/status", own_hosts=())
    {'dashboard': 'http://127.0.0.1:8787/prep', 'through Jupyter': '/proxy/8787/prep'}
    """
    asked_for = page_link(link, page)
    parts = urlsplit(link)
    if template != _DEFAULT_TEMPLATE or not parts.port:
        return {"dashboard": asked_for}
    host = parts.hostname or ""
    here = _is_loopback(host) or host in own_hosts
    target = str(parts.port) if here else f"{host}:{parts.port}"
    hub = environ.get("JUPYTERHUB_SERVICE_PREFIX")
    if hub:
        return {"dashboard": _proxied(hub, target, page)}
    if server is None or not here:  # To other hosts, the proxy forwards only if told to.
        return {"dashboard": asked_for}
    return {"dashboard": asked_for, "through Jupyter": _proxied(server, target, page)}


def page_link(link: str, page: str) -> str:
    """Return the address of another page of the dashboard that ``link`` leads to.

    >>> page_link("http://127.0.0.1:8787/status", "prep")
    'http://127.0.0.1:8787/prep'
    """
    return f"{link.removesuffix(_DASK_PAGE)}/{page}" if link.endswith(_DASK_PAGE) else link


def _proxied(base: str, target: str, page: str) -> str:
    return f"{base.rstrip('/')}/proxy/{quote(target, safe=':')}/{page}"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _own_hosts() -> set[str]:
    addresses = (a.address for card in psutil.net_if_addrs().values() for a in card)
    return {socket.gethostname(), *addresses}


def file_link(path: str) -> str | None:
    """Return the address of a file for the browser that shows a notebook; None if there is none.

    Args:
        path: of a file on this machine.
    """
    return file_link_from(path, environ=os.environ, server=_jupyter_server(os.environ))


def file_link_from(
    path: str, *, environ: Mapping[str, str], server: Mapping[str, str] | None
) -> str | None:
    """Return the address of :func:`file_link` from all that it depends on.

    Args:
        environ: the environment; VS Code, which opens files by their URL, leaves its mark in it.
        server: what the Jupyter server has written about itself.

    >>> server = {"base_url": "/user/ann/", "root_dir": "/home/ann"}
    >>> file_link_from("/home/ann/my shards/report.html", environ={}, server=server)
    '/user/ann/files/my%20shards/report.html'
    >>> file_link_from("/data/shards/report.html", environ={}, server=server)
    >>> file_link_from("/data/shards/report.html", environ={"VSCODE_PID": "1"}, server=None)
    'file:///data/shards/report.html'
    """
    if server is None:
        return Path(path).absolute().as_uri() if "VSCODE_PID" in environ else None
    if not {"base_url", "root_dir"} <= server.keys():
        return None
    # Hidden files are not served, and neither is what a link leads to outside of the root.
    inside = os.path.relpath(os.path.realpath(path), os.path.realpath(server["root_dir"]))
    if any(part.startswith(".") for part in inside.split(os.sep)):
        return None
    return f"{server['base_url'].rstrip('/')}/files/{quote(inside)}"


def _jupyter_base_url(environ: Mapping[str, str]) -> str | None:
    """Return the base URL of the Jupyter server of this process, if it can forward ports."""
    if importlib.util.find_spec("jupyter_server_proxy") is None:
        return None
    server = _jupyter_server(environ)
    return server.get("base_url") if server else None


def _jupyter_server(environ: Mapping[str, str]) -> dict[str, str] | None:
    """Return what the Jupyter server of this process has written about itself.

    ``list_running_servers`` reads the same file, but takes most of a second to import.
    """
    server = environ.get("JPY_PARENT_PID", "")
    if not server.isdecimal():
        return None
    try:
        from jupyter_core.paths import jupyter_runtime_dir

        file = Path(jupyter_runtime_dir()) / f"jpserver-{server}.json"
        said = json.loads(file.read_bytes())
        return {name: str(said[name]) for name in ("base_url", "root_dir") if name in said}
    except (ImportError, OSError, ValueError, TypeError):
        return None
