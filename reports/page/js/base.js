// What models wrote reaches the document as textContent alone.
const $ = (id) => document.getElementById(id);
const make = (tag, name, text) => {
  const node = document.createElement(tag);
  if (name) node.className = name;
  if (text !== undefined) node.textContent = text;
  return node;
};
document.documentElement.classList.add("js");

// ---- what an address asks for and is not there ----
const faults = [];
function distance(a, b) {
  // Levenshtein's, row by row.
  let above = [...Array(b.length + 1).keys()];
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let k = 1; k <= b.length; k++) row[k] = Math.min(row[k - 1] + 1, above[k] + 1, above[k - 1] + (a[i - 1] !== b[k - 1]));
    above = row;
  }
  return above[b.length];
}
function nearest(given, known) {
  const far = (name) => distance(given.toLowerCase(), name.toLowerCase());
  return known.reduce((best, name) => (best === null || far(name) < far(best) ? name : best), null);
}
function lacks(what, given, known) {
  // Whether `given` is not among `known`, which is then told.
  if (known.includes(given)) return false;
  const near = nearest(given, known);
  faults.push(`no ${what} "${given}"${near === null ? "" : ` (nearest: "${near}")`}`);
  return true;
}
function complain() {
  $("notice").textContent = faults.length ? `The address of this page names ${faults.join(", ")}.` : "";
  $("notice").hidden = faults.length === 0;
  faults.length = 0;
}

