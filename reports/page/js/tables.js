// Tables: sorted by a column, and their rows filtered by words and methods.
const tables = new Map();
for (const table of document.querySelectorAll("figure.table[data-table] table")) {
  const name = table.closest("figure").dataset.table;
  let id = name;
  for (let n = 2; tables.has(id); n++) id = `${name}-${n}`;
  tables.set(id, table);
  [...table.tBodies[0].rows].forEach((row, n) => { row.dataset.place ??= n; });
  table.dataset.order = orderOf(table); // as the page was written
}
const compare = (a, b) => (typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b)));
const keyOf = (cell) => {
  const key = cell.dataset.key ?? cell.textContent.trim();
  return key !== "" && Number.isFinite(Number(key)) ? Number(key) : key;
};
function orderOf(table) {
  // "my-bench.score:descending", or "registry": the rows as they were written.
  const head = [...table.tHead.rows[0].cells].find((cell) => cell.hasAttribute("aria-sort"));
  return head ? `${head.dataset.column}:${head.getAttribute("aria-sort")}` : "registry";
}
function order(table, wanted) {
  const heads = [...table.tHead.rows[0].cells], body = table.tBodies[0], rows = [...body.rows];
  const cut = wanted.lastIndexOf(":"), head = heads.find((cell) => cell.dataset.column === wanted.slice(0, cut));
  for (const cell of heads) cell.removeAttribute("aria-sort");
  const place = (a, b) => a.dataset.place - b.dataset.place;
  // Rows of two data sets are not mixed, unless the table is sorted by these.
  const sets = [...new Set([...rows].sort(place).map((row) => row.dataset.set))], apart = head?.dataset.column !== "dataset";
  if (!head) rows.sort(place);
  else {
    const direction = wanted.slice(cut + 1), sign = direction === "ascending" ? 1 : -1, at = head.cellIndex;
    head.setAttribute("aria-sort", direction);
    rows.sort((a, b) => {
      if (apart && a.dataset.set !== b.dataset.set) return sets.indexOf(a.dataset.set) - sets.indexOf(b.dataset.set);
      const [x, y] = [keyOf(a.cells[at]), keyOf(b.cells[at])];
      if (x === "" || y === "") return (x === "") - (y === "") || place(a, b); // what is not there comes last either way
      return sign * compare(x, y) || place(a, b);
    });
  }
  body.append(...rows);
  // The forest beside a table is that of the column that it is sorted by.
  const beside = [...(table.closest(".first")?.querySelectorAll(".beside figure") ?? [])];
  const shown = beside.some((figure) => figure.dataset.column === head?.dataset.column) ? head.dataset.column : beside[0]?.dataset.column;
  for (const figure of beside) figure.hidden = figure.dataset.column !== shown;
}
function turn(head) {
  // Down, up, then as in the registry; words up first.
  const before = head.getAttribute("aria-sort"), words = head.classList.contains("label");
  const directions = words ? ["ascending", "descending"] : ["descending", "ascending"];
  const next = before === directions[0] ? directions[1] : before === directions[1] ? null : directions[0];
  order(head.closest("table"), next === null ? "registry" : `${head.dataset.column}:${next}`);
  remember();
}
for (const head of document.querySelectorAll("thead th")) head.firstElementChild.addEventListener("click", () => turn(head));
for (const table of tables.values()) order(table, table.dataset.order);

const filter = document.querySelector(".filter"), boxes = [...filter.querySelectorAll("input[type=checkbox]")];
const known = boxes.map((box) => box.value), longest = [...known].sort((a, b) => b.length - a.length);
const methodOf = (label) => longest.find((m) => label === m || label.startsWith(`${m}:`) || label.startsWith(`${m},`));
// The end of a long name is cut off at an axis.
const named = (text) => known.find((m) => m === text || (text.endsWith("\u2026") && m.startsWith(text.slice(0, -1).trimEnd())));
const wordsOf = () => $("filter").value.toLowerCase().split(",").map((w) => w.trim()).filter(Boolean);
function narrow() {
  const words = wordsOf(), off = new Set(boxes.filter((box) => !box.checked).map((box) => box.value));
  const told = (text) => words.length === 0 || words.some((w) => text.toLowerCase().includes(w));
  for (const row of document.querySelectorAll("tr[data-method]")) row.hidden = off.has(row.dataset.method) || !told(row.textContent);
  const fades = (method) => method !== undefined && (off.has(method) || !told(method));
  for (const mark of document.querySelectorAll(".drawing [aria-label][role=graphics-symbol]")) {
    mark.classList.toggle("dim", fades(methodOf(mark.getAttribute("aria-label"))));
  }
  // Names: of an axis, and beside points.
  for (const name of document.querySelectorAll(".drawing svg text")) name.classList.toggle("dim", fades(named(name.textContent)));
  for (const button of document.querySelectorAll("button[data-only]")) button.classList.toggle("dim", fades(button.dataset.only));
  $("chosen").textContent = off.size ? `Methods (${known.length - off.size} of ${known.length})` : "Methods";
}
for (const button of document.querySelectorAll("button[data-only]")) {
  button.addEventListener("click", () => {
    // This method alone; once more, all of them.
    const alone = boxes.every((box) => box.checked === (box.value === button.dataset.only));
    for (const box of boxes) box.checked = alone || box.value === button.dataset.only;
    narrow();
    remember();
  });
}
filter.addEventListener("input", () => { narrow(); remember(); });
filter.addEventListener("submit", (event) => event.preventDefault());
for (const button of filter.querySelectorAll("button[data-all]")) {
  button.addEventListener("click", () => {
    for (const box of boxes) box.checked = button.dataset.all === "on";
    narrow();
    remember();
  });
}

