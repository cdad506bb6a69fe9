// Figures: what a mark says, where it is pointed at.
const tip = $("tip");
function say(text, box) {
  tip.hidden = false;
  tip.textContent = text;
  const wide = tip.offsetWidth;
  tip.style.left = `${Math.max(4, Math.min(innerWidth - wide - 4, box.left + box.width / 2 - wide / 2))}px`;
  tip.style.top = `${Math.max(4, box.top - tip.offsetHeight - 6)}px`;
}
document.addEventListener("pointerover", (event) => {
  const mark = event.target.closest?.(".drawing [aria-label][role=graphics-symbol]");
  tip.hidden = !mark || mark.classList.contains("role-axis");
  if (!tip.hidden) say(mark.getAttribute("aria-label"), mark.getBoundingClientRect());
});

