(() => {
  const root = document.getElementById("samples");
  if (!root) return;
  const rows = Array.from(root.querySelectorAll("ol.samples > li"));
  const status = root.querySelector(".status");
  const gain = (row) => Number(row.dataset.gain);
  const views = {
    all: () => rows,
    wins: () => rows.filter((row) => gain(row) > 0).sort((a, b) => gain(b) - gain(a)),
    losses: () => rows.filter((row) => gain(row) < 0).sort((a, b) => gain(a) - gain(b)),
  };
  let shown = rows;
  let place = 0;

  const draw = () => {
    for (const row of rows) row.classList.remove("current");
    if (shown.length) shown[place].classList.add("current");
    status.textContent = shown.length ? `${place + 1} of ${shown.length}` : "none";
  };
  const move = (by) => {
    if (!shown.length) return;
    place = (place + by + shown.length) % shown.length;
    draw();
  };
  for (const button of root.querySelectorAll("[data-move]")) {
    button.addEventListener("click", () => move(Number(button.dataset.move)));
  }
  const filters = Array.from(root.querySelectorAll("[data-filter]"));
  for (const button of filters) {
    button.addEventListener("click", () => {
      for (const other of filters) other.setAttribute("aria-pressed", String(other === button));
      shown = views[button.dataset.filter]();
      place = 0;
      draw();
    });
  }
  document.addEventListener("keydown", (event) => {
    const isTyping = event.target.closest("input, textarea, select, [contenteditable]");
    if (isTyping || event.repeat || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "ArrowLeft") move(-1);
    if (event.key === "ArrowRight") move(1);
  });
  root.querySelector(".controls").hidden = false;
  root.classList.add("paged");
  draw();
})();
