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
    const answer = await fetch(link.dataset.reveal, { headers: { "X-Seaway-Fragment": "1" } });
    if (answer.ok && !answer.redirected) show(cell, link, (await answer.json()).value, false);
    else location.assign(link.href);
  });
}

function show(cell, link, text, masked) {
  cell.textContent = text;
  cell.classList.toggle("masked", masked);
  link.textContent = masked ? "Reveal" : "Hide";
}
