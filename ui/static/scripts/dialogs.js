import { fetchText } from "./fragments.js";

/** Links marked data-dialog lead to a page with a form; here its form opens in a dialog instead. */
export function startDialogs() {
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-dialog]");
    if (link && !event.metaKey && !event.ctrlKey && !event.shiftKey && event.button === 0) {
      event.preventDefault();
      openDialog(link.href);
    }
    const closer = event.target.closest("[data-close]");
    if (closer && closer.closest("dialog")) {
      event.preventDefault();
      closer.closest("dialog").close();
    }
    if (event.target instanceof HTMLDialogElement) event.target.close();
  });
}

export async function openDialog(address) {
  const dialog = document.getElementById("dialog");
  if (dialog.open) return;
  const html = await fetchText(address);
  if (html === null) {
    location.assign(address);
    return;
  }
  if (dialog.open) return;
  dialog.innerHTML = html;
  dialog.setAttribute("aria-labelledby", dialog.querySelector("h2")?.id ?? "");
  dialog.showModal();
  dialog.querySelector("[autofocus]")?.focus();
}
