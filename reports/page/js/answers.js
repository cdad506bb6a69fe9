// Answers: which are chosen, listed and shown beside each other.
const CHUNK = 120;
const state = { set: null, view: 0, seed: null, a: "", b: "", q: "", category: "", outcome: "", search: "" };
let index = [], shown = [], drawn = 0, current = null;
const blocks = new Map();

function block(set) {
  // A benchmark's texts are parsed when first asked for.
  if (!blocks.has(set.id)) blocks.set(set.id, JSON.parse($(set.id).textContent));
  return blocks.get(set.id);
}

function load() {
  const set = index[state.set], data = block(set), columns = data.views[state.view], about = set.views[state.view];
  const items = data.questions.map(([id, category, turns]) => ({ id, category, turns, of: new Map() }));
  const names = new Set();
  for (let n = 0; n < columns.method.length; n++) {
    if (columns.seed[n] !== state.seed) continue;
    const method = set.methods[columns.method[n]], item = items[columns.question[n]];
    names.add(method);
    if (!item.of.has(method)) item.of.set(method, []);
    item.of.get(method).push(n);
  }
  current = { set, data, columns, about, items, names: set.methods.filter((m) => names.has(m)), compares: about.metric === "win_rate" };
  current.outside = current.compares && about.reference && !names.has(about.reference) ? about.reference : null;
}
const text = (n) => current.data.strings[n];

const mean = (values) => values.reduce((sum, v) => sum + v, 0) / values.length;
function turns(item, method) {
  // Turn -> the mean over its orders, as the tables have it: one without a verdict has none, and where both
  // orders are wanted a question that lacks one has none at all.
  if (method === current.outside) return new Map(item.turns.map((_, k) => [k + 1, 0.5]));
  const { columns, about } = current, own = item.of.get(method) ?? [], by = new Map();
  if (about.both_orders && own.some((n) => columns.value[n] === null)) return by;
  for (const n of own.filter((n) => columns.value[n] !== null)) {
    by.set(columns.turn[n], [...(by.get(columns.turn[n]) ?? []), columns.value[n]]);
  }
  return new Map([...by].map(([turn, values]) => [turn, mean(values)]));
}
function outcome(item) {
  const [a, b] = [turns(item, state.a), turns(item, state.b)], both = [...a.keys()].filter((t) => b.has(t));
  if (!both.length) return { name: "none", word: "no verdict" };
  const gap = mean(both.map((t) => a.get(t) - b.get(t))), percent = current.about.metric !== "score";
  if (Math.abs(gap) < 1e-9) return { name: "tie", word: "tie" };
  const size = percent ? (100 * Math.abs(gap)).toFixed(0) : Math.abs(gap).toFixed(1).replace(/\.0$/, "");
  return { name: gap > 0 ? "win" : "loss", word: `${gap > 0 ? "A" : "B"} +${size}` };
}

function options(select, values, chosen) {
  select.replaceChildren(...values.map(([value, label]) => {
    const option = make("option", "", label);
    option.value = value;
    option.selected = String(value) === String(chosen);
    return option;
  }));
  select.disabled = values.length < 2;
}
const several = (name) => new Set(index.map((s) => s[name])).size > 1;
function controls() {
  const set = index[state.set];
  options($("set"), index.map((s, n) => [n, [s.benchmark, several("dataset") && s.dataset, several("pair") && s.pair].filter(Boolean).join(" · ")]), state.set);
  options($("view"), set.views.map((v, n) => [n, [v.judge || "no judge", v.reference && `against ${v.reference}`].filter(Boolean).join(", ")]), state.view);
  options($("seed"), set.seeds.map((s) => [s, set.replicates ? set.replicates[s] : s]), state.seed);
  document.querySelector("label.seed").hidden = set.seeds.length < 2;
  for (const letter of ["a", "b"]) options($(letter), answering().map((m) => [m, m]), state[letter]);
  const found = [...new Set(current.items.map((i) => i.category).filter(Boolean))].sort();
  options($("category"), [["", "All categories"], ...found.map((c) => [c, c])], state.category);
  $("outcome").value = state.outcome;
  if ($("search").value !== state.search) $("search").value = state.search;
}

function matches(item, word) {
  if (!word) return true;
  const { columns } = current, has = (n) => text(n).toLowerCase().includes(word);
  if (item.id.toLowerCase() === word || item.turns.some(has)) return true;
  return [state.a, state.b].some((m) => (item.of.get(m) ?? []).some((n) => has(columns.answer[n]) || has(columns.reply[n])));
}

function list() {
  const word = state.search.trim().toLowerCase(), tally = { win: 0, loss: 0, tie: 0, none: 0 };
  shown = [];
  for (const item of current.items) {
    if (state.category && item.category !== state.category) continue;
    if (!matches(item, word)) continue;
    const result = outcome(item);
    tally[result.name] += 1;
    if (!state.outcome || state.outcome === result.name) shown.push({ item, result });
  }
  const say = $("tally");
  say.replaceChildren();
  const parts = [["win", `${state.a} wins`], ["loss", `${state.b} wins`], ["tie", "ties"], ["none", "without a verdict"]];
  for (const [name, words] of parts) {
    if (name === "none" && !tally.none) continue;
    if (say.childNodes.length) say.append(" · ");
    const count = make("b", name, tally[name].toLocaleString("en"));
    say.append(count, ` ${words}`);
  }
  drawn = 0;
  $("questions").replaceChildren();
  if (!shown.length) $("questions").append(make("p", "", "No question matches."));
  more();
}
function more() {
  const rows = shown.slice(drawn, drawn + CHUNK).map(({ item, result }) => {
    const row = make("li"), button = make("button");
    button.type = "button";
    button.dataset.q = item.id;
    if (item.id === state.q) button.setAttribute("aria-current", "true");
    button.append(
      make("span", "what", text(item.turns[0]).slice(0, 160)),
      make("span", "about", [item.id, item.category].filter(Boolean).join(" · ")),
      make("span", `score ${result.name}`, result.word),
    );
    row.append(button);
    return row;
  });
  drawn += rows.length;
  $("questions").append(...rows);
}

function value(n, method) {
  const { columns, compares, about } = current, v = columns.value[n];
  if (compares && method === about.reference) return ["tie", "the reference itself"];
  if (v === null) return ["none", text(columns.status[n])];
  if (about.metric === "score") return ["", String(Number(v.toFixed(2)))];
  if (!compares) return v > 0 ? ["win", "right"] : ["loss", "wrong"];
  if (v === 0.5) return ["tie", "tie"];
  const sure = v === 0 || v === 1 ? "" : ` (${(100 * v).toFixed(0)} %)`;
  return v > 0.5 ? ["win", `preferred to ${about.reference}${sure}`] : ["loss", `${about.reference} preferred${sure}`];
}
const ORDERS = { ab: "shown first", ba: "shown second" };
function side(method, letter, item, turn) {
  const { columns } = current, box = make("section", "side"), head = make("header");
  const own = (item.of.get(method) ?? []).filter((n) => columns.turn[n] === turn);
  head.append(make("small", "", letter), make("b", "", method));
  box.append(head);
  if (method === current.outside) {
    const any = [...item.of.values()].flat().find((n) => columns.turn[n] === turn);
    if (any !== undefined) box.append(make("p", "said", text(columns.theirs[any])));
    return box;
  }
  if (!own.length) {
    box.append(make("p", "none", "No answer."));
    return box;
  }
  const cut = columns.cut[own[0]] ? ", cut at the limit" : "";
  if (columns.tokens[own[0]]) head.append(make("small", "", `${columns.tokens[own[0]].toLocaleString("en")} tokens${cut}`));
  const said = text(columns.answer[own[0]]);
  box.append(make("p", said ? "said" : "said none", said || "(an empty answer)"));
  for (const n of own) {
    const verdict = make("div", "verdict"), [name, words] = value(n, method), reply = text(columns.reply[n]);
    verdict.append(make("b", name, words));
    if (ORDERS[columns.order[n]]) verdict.append(" ", make("small", "", ORDERS[columns.order[n]]));
    if (reply) verdict.append(make("p", "words", reply));
    box.append(verdict);
  }
  return box;
}
function detail() {
  const pane = $("question"), at = shown.findIndex(({ item }) => item.id === state.q);
  const item = current.items.find((i) => i.id === state.q);
  pane.replaceChildren();
  if (!item) {
    pane.append(make("p", "lead", "Choose a question."));
    return;
  }
  const bar = make("div", "bar"), move = make("span", "move"), result = outcome(item);
  bar.append(make("h3", "", `Question ${item.id}`), make("small", "", item.category), make("b", result.name, result.word), move);
  if (at >= 0) move.append(make("small", "", `${at + 1} of ${shown.length}`));
  for (const [arrow, by, label] of [["\u2190", -1, "Previous question"], ["\u2192", 1, "Next question"]]) {
    const button = make("button", "", arrow);
    button.type = "button";
    button.setAttribute("aria-label", label);
    button.addEventListener("click", () => step(by));
    move.append(button);
  }
  pane.append(bar);
  const { columns } = current, every = [...item.of.values()].flat();
  const turns = [...new Set(every.map((n) => columns.turn[n]))].sort((x, y) => x - y);
  turns.forEach((turn, n) => {
    const part = make("div", "turn"), pair = make("div", "pair");
    if (item.turns[n] !== undefined) part.append(make("p", "asked", text(item.turns[n])));
    pair.append(side(state.a, "A", item, turn));
    if (state.b !== state.a) pair.append(side(state.b, "B", item, turn));
    part.append(pair);
    const any = every.find((m) => columns.turn[m] === turn && text(columns.theirs[m]));
    if (any !== undefined && ![state.a, state.b].includes(current.about.reference)) {
      const authors = make("details", "authors");
      const whose = current.compares ? `Answer of ${current.about.reference}` : "Reference answer";
      authors.append(make("summary", "", whose), make("p", "said", text(columns.theirs[any])));
      part.append(authors);
    }
    pane.append(part);
  });
}

function choose(q, scroll) {
  state.q = q;
  const at = shown.findIndex(({ item }) => item.id === q);
  while (drawn <= at) more();
  for (const button of $("questions").querySelectorAll("button")) {
    if (button.dataset.q === q) {
      button.setAttribute("aria-current", "true");
      if (scroll) button.scrollIntoView({ block: "nearest" });
    } else button.removeAttribute("aria-current");
  }
  detail();
  remember();
}
function step(by) {
  if (!shown.length) return;
  const at = shown.findIndex(({ item }) => item.id === state.q);
  const next = at < 0 ? 0 : Math.max(0, Math.min(shown.length - 1, at + by));
  choose(shown[next].item.id, true);
}
function answering() {
  // Who has an answer here, or is compared with.
  return [...current.names, ...(current.outside ? [current.outside] : [])];
}
function settle() {
  // Names that this benchmark does not have give way: A to the last row, B to the reference or the Student.
  const names = answering();
  if (!names.includes(state.a)) state.a = current.names.at(-1) ?? "";
  if (!names.includes(state.b)) {
    const wanted = [current.compares ? current.about.reference : "", "Student", ...names].filter((m) => names.includes(m));
    state.b = wanted.find((m) => m !== state.a) ?? state.a;
  }
  if (!current.items.some((i) => i.category === state.category)) state.category = "";
}
function refresh(named) {
  // A question that an address names is shown even where its filters leave it out.
  controls();
  list();
  const there = named ? current.items.map((item) => item.id) : shown.map(({ item }) => item.id);
  if (!there.includes(state.q)) state.q = shown.length ? shown[0].item.id : "";
  choose(state.q, true);
}

function on(id, change) {
  $(id).addEventListener("change", (event) => {
    change(event.target.value);
    refresh();
  });
}
function browse() {
  on("set", (v) => { Object.assign(state, { set: Number(v), view: 0, q: "" }); state.seed = index[state.set].seeds[0]; load(); settle(); });
  on("view", (v) => { state.view = Number(v); load(); settle(); });
  on("seed", (v) => { state.seed = Number(v); load(); settle(); });
  on("a", (v) => { state.a = v; });
  on("b", (v) => { state.b = v; });
  on("category", (v) => { state.category = v; });
  on("outcome", (v) => { state.outcome = v; });
  let waiting = 0;
  $("search").addEventListener("input", (event) => {
    clearTimeout(waiting);
    waiting = setTimeout(() => { state.search = event.target.value; refresh(); }, 120);
  });
  $("questions").addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button) choose(button.dataset.q, false);
  });
  $("questions").addEventListener("scroll", (event) => {
    const box = event.target;
    if (drawn < shown.length && box.scrollTop + box.clientHeight > box.scrollHeight - 400) more();
  });
}

