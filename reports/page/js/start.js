// Keys, and what happens first.
document.addEventListener("keydown", (event) => {
  const typing = event.target.matches("input, select, textarea");
  if (event.key === "Escape" && typing) return event.target.blur();
  if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
  const reads = opened === "answers";
  if (event.key === "/") {
    event.preventDefault();
    (reads ? $("search") : $("filter")).focus();
  } else if (reads && (event.key === "ArrowRight" || event.key === "ArrowLeft")) {
    event.preventDefault();
    step(event.key === "ArrowRight" ? 1 : -1);
  }
});

// Paper has nothing to unfold.
addEventListener("beforeprint", () => { for (const fold of document.querySelectorAll("details")) fold.open = true; });

// Of a phone's first screen the verdict's first line leaves some for the table.
if (innerWidth <= 640) for (const fold of document.querySelectorAll("#verdict details")) fold.open = false;

// Tables can be read while the texts, which stand last, still arrive.
open("results");
document.addEventListener("DOMContentLoaded", () => {
  index = JSON.parse($("index").textContent);
  if (index.length) browse();
  addEventListener("hashchange", route);
  route();
});
