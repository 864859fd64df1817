import { fetchText } from "./fragments.js";

const MASK = "••••••••";

/** Shows and hides one value at a time; a value is fetched when it is asked for, and not before. */
export function startReveals() {
  document.addEventListener("click", async (event) => {
    const link = event.target.closest("a[data-reveal]");
    if (!link) return;
    event.preventDefault();
    const cell = link.closest("tr").querySelector(".value");
    if (link.textContent.trim() === "Hide") {
      show(cell, link, MASK, true);
      return;
    }
    const answer = await fetchText(link.dataset.reveal);
    if (answer === null) location.assign(link.href);
    else show(cell, link, JSON.parse(answer).value, false);
  });
}

function show(cell, link, text, masked) {
  cell.textContent = text;
  cell.classList.toggle("masked", masked);
  link.textContent = masked ? "Reveal" : "Hide";
}
