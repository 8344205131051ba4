"use strict";
// Figures are drawn on a canvas, which knows nothing of the page's colours: they are set here, and
// again when the reader turns to light or dark.
(() => {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const paint = () => {
    const style = getComputedStyle(document.documentElement);
    const [ink, quiet, line] = ["--ink", "--quiet", "--line"].map(
      (name) => style.getPropertyValue(name).trim());
    for (const shown of Bokeh.documents) {
      for (const root of shown.roots()) {
        for (const model of root.references()) {
          if (model.type.endsWith("Axis")) {
            model.setv({
              axis_label_text_color: quiet, major_label_text_color: ink,
              axis_line_color: model.axis_line_color === null ? null : quiet,
              major_tick_line_color: model.major_tick_line_color === null ? null : quiet,
            });
          } else if (model.type === "Grid") {
            model.setv({grid_line_color: model.grid_line_color === null ? null : line});
          } else if (model.tags.includes("ink")) {
            model.setv({line_color: ink});
          }
        }
      }
    }
    document.documentElement.dataset.painted = dark.matches ? "dark" : "light";
  };
  const drawn = JSON.parse(document.getElementById("figures").textContent);
  Bokeh.set_log_level("warn");
  Bokeh.embed.embed_items(drawn.documents, drawn.items).then(paint);
  dark.addEventListener("change", paint);

  copyCode();
  sortTables();
  searchLists();
  openTargets();
  viewImages();
  hintAtWideTables();
  printFigures();

  function copyCode() {
    for (const block of document.querySelectorAll(".code")) {
      const button = block.querySelector("button");
      if (!navigator.clipboard) continue;
      button.hidden = false;
      button.addEventListener("click", async () => {
        await navigator.clipboard.writeText(block.querySelector("code").textContent);
        button.textContent = "Copied";
        setTimeout(() => { button.textContent = "Copy"; }, 1500);
      });
    }
  }

  // A click on a heading sorts by its column: numbers from the largest, names from A, and then the
  // other way round.
  function sortTables() {
    for (const table of document.querySelectorAll(".sortable")) {
      const heads = [...table.querySelectorAll("thead th[scope]")];
      heads.forEach((head, column) => {
        const isNumber = head.classList.contains("n");
        const button = document.createElement("button");
        button.type = "button";
        button.append(...head.childNodes);
        head.append(button);
        button.addEventListener("click", () => {
          const before = head.ariaSort;
          heads.forEach((other) => other.removeAttribute("aria-sort"));
          const rises = before ? before === "descending" : !isNumber;
          head.ariaSort = rises ? "ascending" : "descending";
          const body = table.tBodies[0];
          const value = (row) => {
            const text = row.cells[column].textContent;
            return isNumber ? parseFloat(text.replaceAll(",", "")) || 0 : text;
          };
          const compare = isNumber ? (a, b) => a - b : new Intl.Collator("en", {numeric: true}).compare;
          const rows = [...body.rows].map((row) => [value(row), row]);
          rows.sort(([a], [b]) => rises ? compare(a, b) : compare(b, a));
          body.append(...rows.map(([, row]) => row));
        });
      });
    }
  }

  // What is typed is looked for in rows, in classes of the contact sheet, and in refused images.
  function searchLists() {
    for (const box of document.querySelectorAll(".search")) {
      const [field, status] = [box.querySelector("input"), box.querySelector("[role=status]")];
      box.hidden = false;
      const find = () => {
        const text = field.value.trim().toLowerCase();
        for (const name of field.dataset.in.split(" ")) {
          const section = document.getElementById(name);
          const found = new Set();
          for (const item of section.querySelectorAll(".sortable tbody tr, .class, .findings li")) {
            const where = item.querySelector("th, h3") ?? item;
            item.hidden = !where.textContent.toLowerCase().includes(text);
            if (!item.hidden) found.add(item);
          }
          for (const reason of section.querySelectorAll(".reason")) {
            const some = [...found].some((item) => reason.contains(item));
            reason.hidden = !some;
            if (text && some) reason.open = true;
          }
          if (section.contains(box)) status.textContent = text ? `${found.size.toLocaleString("en")} found` : "";
        }
        for (const other of document.querySelectorAll(".search input")) {
          if (other.dataset.in === field.dataset.in) other.value = field.value;
        }
      };
      field.addEventListener("input", find);
      field.addEventListener("search", find);
    }
    // From the number of refused images of a class to these images.
    for (const link of document.querySelectorAll("[data-find]")) {
      link.addEventListener("click", () => {
        const field = document.querySelector("#refused input");
        field.value = link.dataset.find;
        field.dispatchEvent(new Event("input"));
      });
    }
  }

  // Older browsers do not unfold what a link leads to, and what was searched for may hide it.
  function openTargets() {
    const open = () => {
      const target = location.hash && document.getElementById(location.hash.slice(1));
      if (!target) return;
      if (target.hidden) {
        for (const field of document.querySelectorAll(".search input")) {
          field.value = "";
          field.dispatchEvent(new Event("input"));
        }
      }
      if (target.tagName === "DETAILS") target.open = true;
    };
    addEventListener("hashchange", open);
    open();
  }

  function viewImages() {
    const viewer = document.getElementById("viewer");
    const [image, name, note] = ["img", ".name", ".where"].map((s) => viewer.querySelector(s));
    const link = viewer.querySelector(".open");
    let shown = null;
    const show = (shot) => {
      shown = shot;
      const thumbnail = shot.querySelector("img");
      image.src = thumbnail.src;
      image.alt = thumbnail.alt;
      name.textContent = shot.title;
      note.textContent = shot.dataset.note;
      link.hidden = !shot.href;
      if (shot.href) link.firstElementChild.href = shot.href;
      if (!viewer.open) viewer.showModal();
    };
    const step = (by) => {
      const shots = [...document.querySelectorAll("a.shot")].filter((shot) => shot.checkVisibility());
      const next = shots[shots.indexOf(shown) + by];
      if (next) show(next);
    };
    document.addEventListener("click", (event) => {
      const shot = event.target.closest("a.shot");
      if (!shot || event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      show(shot);
    });
    document.addEventListener("keydown", (event) => {
      if (viewer.open && event.key === "ArrowLeft") step(-1);
      else if (viewer.open && event.key === "ArrowRight") step(1);
      else if (event.key === "Enter" && event.target.matches("a.shot:not([href])")) show(event.target);
    });
    viewer.addEventListener("click", (event) => {
      const by = event.target.dataset.step;
      if (by === "0" || event.target === viewer) viewer.close();
      else if (by) step(+by);
    });
    viewer.addEventListener("close", () => shown?.focus());
  }

  // A figure is as wide as the screen and would be cut off on paper, which gets a picture of it.
  function printFigures() {
    addEventListener("beforeprint", () => {
      for (const view of Bokeh.index) {
        const place = document.getElementById(`figure-${view.model.id}`);
        if (!place?.checkVisibility()) continue;
        const image = document.createElement("img");
        image.className = `on-paper ${document.documentElement.dataset.painted}`;
        image.alt = place.getAttribute("aria-label");
        image.src = view.export("png", true).canvas.toDataURL();
        place.before(image);
      }
    });
    addEventListener("afterprint", () => {
      for (const image of document.querySelectorAll(".on-paper")) image.remove();
    });
  }

  function hintAtWideTables() {
    for (const box of document.querySelectorAll(".scroll")) {
      const hint = document.createElement("p");
      hint.className = "wider";
      hint.textContent = "Scroll sideways for more columns →";
      box.before(hint);
      new ResizeObserver(() => { hint.hidden = box.scrollWidth <= box.clientWidth + 1; }).observe(box);
    }
  }
})();
