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
})();
