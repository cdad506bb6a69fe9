// Figures: what a mark says, where it is pointed at.
const tip = $("tip");
function say(text, box) {
  tip.hidden = false;
  tip.textContent = text;
  const wide = tip.offsetWidth;
  tip.style.left = `${Math.max(4, Math.min(innerWidth - wide - 4, box.left + box.width / 2 - wide / 2))}px`;
  tip.style.top = `${Math.max(4, box.top - tip.offsetHeight - 6)}px`;
}
// A curve's numbers are told from the place of its points between the ends of the axes.
const drawnPoints = new WeakMap();
function pointsOf(path) {
  if (!drawnPoints.has(path)) {
    const numbers = path.getAttribute("d").match(/-?[\d.]+(?:e-?\d+)?/g).map(Number);
    drawnPoints.set(path, numbers.flatMap((x, n) => (n % 2 ? [] : [[x, numbers[n + 1]]])));
  }
  return drawnPoints.get(path);
}
function follow(event) {
  const figure = event.target.closest?.("figure[data-axes]"), all = figure ? [...figure.querySelectorAll(".mark-line path")] : [];
  for (const path of document.querySelectorAll("path.near")) path.classList.remove("near");
  if (!all.length) return;
  const matrix = all[0].getScreenCTM(), pointer = new DOMPoint(event.clientX, event.clientY).matrixTransform(matrix.inverse());
  const wide = Math.max(...all.flatMap((path) => pointsOf(path).map(([x]) => x))), high = Number(figure.dataset.high);
  let best = { far: 24 };
  for (const path of all.filter((one) => !one.classList.contains("dim"))) {
    for (const [x, y] of pointsOf(path)) {
      const far = Math.hypot(x - pointer.x, y - pointer.y);
      if (far < best.far) best = { far, path, x, y };
    }
  }
  tip.hidden = !best.path;
  if (!best.path) return;
  best.path.classList.add("near");
  const [first, last, low, top, log] = figure.dataset.axes.split(" ").map((end, n) => (n < 4 ? Number(end) : end));
  const step = Math.round(first + (best.x / wide) * (last - first)), up = 1 - best.y / high;
  const value = log ? low * (top / low) ** up : low + up * (top - low);
  const label = best.path.getAttribute("aria-label"), place = new DOMPoint(best.x, best.y).matrixTransform(matrix);
  say(`${label.slice(0, label.lastIndexOf(": "))}, step ${step.toLocaleString("en")}: ${Number(value.toPrecision(4))}`, { left: place.x, width: 0, top: place.y - 4 });
}
for (const name of ["pointermove", "pointerdown"]) document.addEventListener(name, follow);
document.addEventListener("pointerover", (event) => {
  if (event.target.closest?.("figure[data-axes]")) return;
  const mark = event.target.closest?.(".drawing [aria-label][role=graphics-symbol]");
  tip.hidden = !mark || mark.classList.contains("role-axis");
  if (!tip.hidden) say(mark.getAttribute("aria-label"), mark.getBoundingClientRect());
});

