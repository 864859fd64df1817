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

/** The text at the address, or null where it cannot be had or leads to the log-in. */
export async function fetchText(address) {
  const options = { headers: { "X-Seaway-Fragment": "1" } };
  // A network that changes cuts off what is under way; reading may be repeated.
  const answer = await fetch(address, options).catch(() => fetch(address, options).catch(() => null));
  return answer?.ok && !answer.redirected ? answer.text() : null;
}

/** Fetch fragments of a page and put them in place. A failure leaves what is there. */
export async function refreshFragment(address) {
  const html = await fetchText(address);
  if (html !== null) replaceFragment(html);
}
