/** Hides the rows that do not hold every word of the filter. */
export function startFilter() {
  const field = document.querySelector("[data-filter]");
  if (!field) return;
  const apply = () => filter(field);
  field.addEventListener("input", apply);
  field.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    field.value = "";
    apply();
    field.blur();
  });
  document.addEventListener("seaway:fragment", apply);
  apply();
}

function filter(field) {
  const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0;
  for (const row of document.querySelectorAll(field.dataset.filter)) {
    const text = row.textContent.toLowerCase();
    row.hidden = !words.every((word) => text.includes(word));
    shown += row.hidden ? 0 : 1;
  }
  const nothing = document.querySelector("[data-no-match]");
  if (nothing) nothing.hidden = shown > 0 || words.length === 0;
}
