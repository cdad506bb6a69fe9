// The address: sheet, filters and orders of tables, or a question with its two answers.
//   #results&rows=kd&off=PAD&sort=main:my-bench.score:ascending
//   #bench=my-bench&q=81&a=ADPA&b=DPO
const KEYS = ["rows", "off", "sort", "bench", "judge", "ref", "data", "pair", "seed", "q", "a", "b", "cat", "show", "s"];
const sheets = [...document.querySelectorAll(".sheet")], links = [...document.querySelectorAll("nav a")];
const names = links.map((link) => link.dataset.sheet);
let opened = "results";
function open(name) {
  opened = name;
  for (const sheet of sheets) sheet.classList.toggle("open", sheet.id === `sheet-${name}`);
  for (const link of links) {
    if (link.dataset.sheet === name) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  filter.hidden = name === "answers" || !document.querySelector(`#sheet-${name} :is(tr[data-method], .drawing)`);
  document.body.dataset.sheet = name;
}

function filters() {
  // What differs from the page as it was written.
  const told = [["rows", $("filter").value], ...boxes.filter((box) => !box.checked).map((box) => ["off", box.value])];
  for (const [id, table] of tables) {
    const now = orderOf(table);
    if (now !== table.dataset.order) told.push(["sort", `${id}:${now}`]);
  }
  return told.filter(([, value]) => value !== "");
}
function answers() {
  const set = index[state.set], about = set.views[state.view];
  const told = { bench: set.benchmark, judge: about.judge, ref: about.reference };
  if (several("dataset")) told.data = set.dataset;
  if (several("pair")) told.pair = set.pair;
  if (set.seeds.length > 1) told.seed = state.seed;
  Object.assign(told, { q: state.q, a: state.a, b: state.b, cat: state.category, show: state.outcome, s: state.search });
  return Object.entries(told).filter(([, v]) => v !== "" && v !== undefined);
}
function remember() {
  $("notice").hidden = true; // it is of the address before
  const kept = filters(), of = (sheet) => [sheet, ...(kept.length ? [String(new URLSearchParams(kept))] : [])].join("&");
  for (const link of links) link.hash = of(link.dataset.sheet);
  if (opened !== "answers") history.replaceState(null, "", `#${of(opened)}`);
  else if (index.length) history.replaceState(null, "", `#${new URLSearchParams([...answers(), ...kept])}`);
}

function restore(told) {
  // An address that says nothing of filters or orders leaves them as they are.
  if (told.has("rows")) $("filter").value = told.get("rows");
  if (told.has("off")) {
    const off = told.getAll("off").filter((method) => !lacks("method", method, known));
    for (const box of boxes) box.checked = !off.includes(box.value);
  }
  for (const wanted of told.getAll("sort")) {
    const [id, ...rest] = wanted.split(":"), table = tables.get(id), asked = rest.join(":");
    if (table === undefined) {
      lacks("table", id, [...tables.keys()]);
      continue;
    }
    const columns = [...table.tHead.rows[0].cells].map((cell) => cell.dataset.column);
    const allowed = ["registry", ...columns.flatMap((column) => [`${column}:descending`, `${column}:ascending`])];
    if (!lacks(`order of the table ${id}`, asked, allowed)) order(table, asked);
  }
  narrow();
}
function recall(told) {
  const has = (key, known, what) => told.has(key) && !lacks(what, told.get(key), [...new Set(known)].map(String));
  let sets = index.map((_, n) => n);
  for (const [key, field, what] of [["bench", "benchmark", "benchmark"], ["data", "dataset", "dataset"], ["pair", "pair", "pair"]]) {
    if (!has(key, index.map((set) => set[field]), what)) continue;
    const fitting = sets.filter((n) => index[n][field] === told.get(key));
    if (fitting.length) sets = fitting;
  }
  state.set = sets[0];
  const set = index[state.set];
  let views = set.views.map((_, n) => n);
  for (const [key, field, what] of [["judge", "judge", "judge"], ["ref", "reference", "reference"]]) {
    if (!has(key, set.views.map((view) => view[field]), what)) continue;
    const fitting = views.filter((n) => set.views[n][field] === told.get(key));
    if (fitting.length) views = fitting;
  }
  state.view = views[0];
  const asked = (key) => told.get(key) ?? "";
  Object.assign(state, { a: asked("a"), b: asked("b"), category: asked("cat"), outcome: asked("show"), search: asked("s"), q: asked("q") });
  // Without a seed, the first of which both methods have answers.
  const seeds = has("seed", set.seeds, "seed") ? [Number(told.get("seed"))] : set.seeds;
  const whole = (seed) => {
    state.seed = seed;
    load();
    return [state.a, state.b].every((method) => !method || answering().includes(method));
  };
  if (seeds.find(whole) === undefined) whole(seeds[0]);
  for (const key of ["a", "b"]) if (state[key]) lacks("answers of the method", state[key], answering());
  if (state.category) lacks("category", state.category, current.items.map((item) => item.category));
  if (state.outcome && lacks("outcome", state.outcome, [...$("outcome").options].map((option) => option.value))) state.outcome = "";
  if (state.q) lacks("question", state.q, current.items.map((item) => item.id));
  settle();
}

function route() {
  const [first, ...rest] = location.hash.slice(1).split("&"), asks = first.includes("=");
  const told = new URLSearchParams((asks ? [first, ...rest] : rest).join("&"));
  let sheet = asks ? "answers" : first || "results";
  if (lacks("sheet", sheet, names)) sheet = "results";
  for (const key of new Set(told.keys())) lacks("key", key, KEYS);
  open(sheet);
  scrollTo(0, 0);
  restore(told);
  if (sheet === "answers") {
    recall(told);
    refresh(true);
  } else remember();
  complain();
}

