"""Make the pictures in README and docs, from the first notebook and from a run.

``python scripts/pictures.py`` writes them to ``docs/``. It takes Chromium and the extra ``test``.
"""

from __future__ import annotations

import io
import shutil
import tempfile
import threading
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbconvert import HTMLExporter
from PIL import Image
from playwright.sync_api import Browser, sync_playwright

import prep
from prep.sources.demo import make_images

REPO = Path(__file__).resolve().parent.parent
DOCS = REPO / "docs"
_IMAGES = 6000
_WIDTH = 1280
_COLOURS = 128  # enough for pages that are mostly white


def main() -> None:
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        root = Path(folder)
        make_images(root / "photos", _IMAGES)
        config = prep.Config(source=str(root / "photos"), output=str(root / "shards"))
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        picture_page(config, browser)
        picture_report(root / "shards", browser)
        picture_notebook(root, browser)
        browser.close()


def picture_page(config: prep.Config, browser: Browser) -> None:
    """The dashboard's page, when about half is done."""
    with prep.cluster() as client:
        page = browser.new_page(viewport={"width": _WIDTH, "height": 900})
        page.goto(client.dashboard_link.removesuffix("status") + "prep")
        run = threading.Thread(target=prep.run, args=(config, client))
        run.start()
        page.wait_for_function(_HALF_DONE, timeout=120_000)
        _keep(page.screenshot(full_page=True), "dashboard.png")
        run.join()


# The bars are in a shadow tree, as all that Bokeh draws.
_HALF_DONE = """() => {
  const roots = [...document.querySelectorAll('*')].map(e => e.shadowRoot).filter(Boolean)
  const bar = roots.map(r => r.querySelector('.splits .bar i')).find(Boolean)
  return bar && parseFloat(bar.style.width) > 50
}"""


def picture_report(output: Path, browser: Browser) -> None:
    """The beginning of the report."""
    page = browser.new_page(viewport={"width": _WIDTH, "height": 1400})
    page.goto((output / "report.html").as_uri())
    page.wait_for_timeout(1000)
    _keep(page.screenshot(), "report.png")


def picture_notebook(root: Path, browser: Browser) -> None:
    """The cell in which a run is shown, and its report."""
    notebook = nbformat.read(REPO / "notebooks/01-prepare-and-watch.ipynb", as_version=4)
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(root)}}).execute()
    body, _ = HTMLExporter(template_name="lab").from_notebook_node(notebook)
    (root / "notebook.html").write_text(body, encoding="utf-8")
    page = browser.new_page(viewport={"width": 1000, "height": 1400})
    page.goto((root / "notebook.html").as_uri())
    page.evaluate("document.querySelector('#Do-it').scrollIntoView()")
    _keep(page.screenshot(), "notebook.png")


def _keep(data: bytes, name: str) -> None:
    DOCS.mkdir(exist_ok=True)
    with Image.open(io.BytesIO(data)) as image:
        image.convert("RGB").quantize(_COLOURS).save(DOCS / name, optimize=True)


if __name__ == "__main__":
    main()
