/** Replace each element by the one of this HTML with the same id, keeping the keyboard's place in it. */
export function replaceFragment(html) {
  const template = document.createElement("template");
  template.innerHTML = html;
  for (const incoming of [...template.content.children]) putInPlace(incoming);
}

function putInPlace(incoming) {
  const present = document.getElementById(incoming.id);
  if (!present) return;
  const place = placeOfFocus(present);
  present.replaceWith(incoming);
  if (place) incoming.querySelector(place)?.focus({ preventScroll: true });
  document.dispatchEvent(new CustomEvent("seaway:fragment", { detail: incoming }));
}

function placeOfFocus(element) {
  const focused = document.activeElement;
  if (!focused || focused === element || !element.contains(focused)) return "";
  if (focused.id) return `#${CSS.escape(focused.id)}`;
  if (focused.dataset.step) return `[data-step="${CSS.escape(focused.dataset.step)}"]`;
  const address = focused.getAttribute("href");
  return address ? `${focused.localName}[href="${CSS.escape(address)}"]` : "";
}

/** Fetch fragments of a page and put them in place. A failure leaves what is there. */
export async function refreshFragment(address) {
  const answer = await fetch(address, { headers: { "X-Seaway-Fragment": "1" } });
  if (answer.ok && !answer.redirected) replaceFragment(await answer.text());
}
