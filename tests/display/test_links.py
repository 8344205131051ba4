"""Addresses of the dashboard as the user's browser reaches them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from distributed import Client
from playwright.sync_api import Page, expect

import prep
from prep.display import links as addresses
from prep.display.links import links_from
from tests.support.clusters import wait_until
from tests.support.pictures import write_tree

DEFAULT = "{scheme}://{host}:{port}/status"
HERE = "http://127.0.0.1:8787/status"
HUB = {"JUPYTERHUB_SERVICE_PREFIX": "/user/ada/"}


@pytest.mark.parametrize(
    ("link", "template", "environ", "server", "links"),
    [
        # No Jupyter at all.
        (HERE, DEFAULT, {}, None, ["http://127.0.0.1:8787/prep"]),
        ("https://node7:8787/status", DEFAULT, {}, None, ["https://node7:8787/prep"]),
        # A server that forwards; it may run under a path.
        (HERE, DEFAULT, {}, "/", ["http://127.0.0.1:8787/prep", "/proxy/8787/prep"]),
        (HERE, DEFAULT, {}, "/lab/", ["http://127.0.0.1:8787/prep", "/lab/proxy/8787/prep"]),
        # This machine, by its name and by another address.
        ("http://ours:1/status", DEFAULT, {}, "/", ["http://ours:1/prep", "/proxy/1/prep"]),
        ("http://[::1]:1/status", DEFAULT, {}, "/", ["http://[::1]:1/prep", "/proxy/1/prep"]),
        # Another machine, to which it does not forward by default.
        ("http://10.0.0.9:8787/status", DEFAULT, {}, "/", ["http://10.0.0.9:8787/prep"]),
        # JupyterHub: nothing but its proxy can be reached.
        (HERE, DEFAULT, HUB, None, ["/user/ada/proxy/8787/prep"]),
        (HERE, DEFAULT, HUB, "/user/ada/", ["/user/ada/proxy/8787/prep"]),
        (
            "http://10.0.0.9:8787/status",
            DEFAULT,
            HUB,
            None,
            ["/user/ada/proxy/10.0.0.9:8787/prep"],
        ),
        # The user has said where it is, and knows.
        (
            "https://hub.example/mine/8787/status",
            "https://hub.example/mine/{port}/status",
            HUB,
            "/",
            ["https://hub.example/mine/8787/prep"],
        ),
        ("/proxy/8787/status", "/proxy/{port}/status", {}, None, ["/proxy/8787/prep"]),
        # Something of which nothing is known is left as it is.
        ("https://hub.example/d?p=8787", "https://hub.example/d?p={port}", {}, "/", None),
    ],
)
def test_links(
    link: str, template: str, environ: dict[str, str], server: str | None, links: list[str] | None
) -> None:
    found = links_from(
        link,
        page="prep",
        template=template,
        environ=environ,
        server=server,
        own_hosts={"ours"},
    )
    assert list(found.values()) == (links or [link])


def test_the_server_that_started_this_process_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, client: Client
) -> None:
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path))
    monkeypatch.delenv("JUPYTERHUB_SERVICE_PREFIX", raising=False)
    monkeypatch.setenv("JPY_PARENT_PID", "4711")
    assert list(addresses.dashboard_links(client.dashboard_link)) == ["dashboard"]
    (tmp_path / "jpserver-4711.json").write_text(json.dumps({"base_url": "/lab/"}))
    links = addresses.dashboard_links(client.dashboard_link)
    assert list(links) == ["dashboard", "through Jupyter"]
    assert links["through Jupyter"].startswith("/lab/proxy/")
    monkeypatch.setattr(addresses.importlib.util, "find_spec", lambda name: None)
    assert list(addresses.dashboard_links(client.dashboard_link)) == ["dashboard"]


def fetch(url: str) -> tuple[int, str]:
    with urllib.request.urlopen(url, timeout=60) as answer:
        return answer.status, answer.read().decode(errors="replace")


@pytest.fixture(scope="module")
def jupyter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """A Jupyter server that has started this process, as far as this can tell, and its root."""
    home = tmp_path_factory.mktemp("jupyter")
    runtime, files = home / "runtime", home / "my files"
    for folder in (runtime, files):
        folder.mkdir()
    environ = {**os.environ, "JUPYTER_RUNTIME_DIR": str(runtime), "HOME": str(home)}
    command = [sys.executable, "-m", "jupyter_server", "--no-browser", "--allow-root"]
    options = ["--ip=127.0.0.1", "--port=0", "--ServerApp.base_url=/lab/"]
    options += ["--IdentityProvider.token=", f"--ServerApp.root_dir={files}"]
    with open(home / "log", "wb") as log:
        server = subprocess.Popen([*command, *options], env=environ, stdout=log, stderr=log)
    try:
        noted = runtime / f"jpserver-{server.pid}.json"
        # The file is there before anything is in it.
        wait_until(
            lambda: (
                server.poll() is not None
                or (noted.exists() and noted.read_text().strip().endswith("}"))
            )
        )
        root = json.loads(noted.read_text())["url"].removesuffix("/lab/")

        def answers() -> bool:
            try:
                return fetch(f"{root}/lab/api/status")[0] == 200
            except (urllib.error.URLError, OSError):
                return False

        wait_until(answers)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("JUPYTER_RUNTIME_DIR", str(runtime))
            patch.setenv("JPY_PARENT_PID", str(server.pid))
            patch.delenv("JUPYTERHUB_SERVICE_PREFIX", raising=False)
            yield root, files
    finally:
        server.terminate()
        server.wait(60)


@pytest.mark.slow
def test_a_real_jupyter_server_forwards_to_the_dashboard(
    jupyter: tuple[str, Path], client: Client
) -> None:
    root, _ = jupyter
    link = addresses.dashboard_links(client.dashboard_link)["through Jupyter"]
    status, page = fetch(root + link)
    assert status == 200
    assert "Bokeh" in page or "bokeh" in page


@pytest.mark.slow
def test_a_click_in_a_panel_leads_to_the_report_through_jupyter(
    jupyter: tuple[str, Path], page: Page, tmp_path: Path
) -> None:
    root, files = jupyter
    source = write_tree(tmp_path / "source", {"train": {"cat": 3}})
    config = prep.Config(source=source, output=files / "a & b/shards", size=16)
    report = prep.run(config, workers=1)
    written = prep.report_page(config.output)
    link = addresses.file_link(str(written))
    assert link == "/lab/files/a%20%26%20b/shards/report.html"
    assert f'href="{link}"' in report._repr_html_()
    assert repr(report).endswith(f"  report      {written}")
    notebook = f"{root}/lab/notebook"
    page.route(notebook, lambda route: route.fulfill(body=report._repr_html_()))
    page.goto(notebook)
    with page.expect_popup() as opened:
        page.get_by_text("report.html").click()
    expect(opened.value.locator("h1")).to_be_visible()
    expect(opened.value.get_by_text("cat").first).to_be_visible()

    assert addresses.file_link(str(tmp_path / "elsewhere.html")) is None
    assert addresses.file_link(str(files / ".hidden/report.html")) is None  # It is not served.
    (files / "link").symlink_to(tmp_path)  # Which the server does not follow.
    (tmp_path / "page.html").touch()
    assert addresses.file_link(str(files / "link/page.html")) is None
    with pytest.raises(urllib.error.HTTPError, match="403"):
        fetch(f"{root}/lab/files/link/page.html")
