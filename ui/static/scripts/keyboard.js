import { openDialog } from "./dialogs.js";

const SEQUENCE_LIMIT_MILLISECONDS = 1200;

const PLACES = { a: "/applications", s: "/servers" };

/** g a: applications, g s: servers, / filter, d deploy, ? help. Never while something is being typed. */
export function startKeyboard() {
  let leaderAt = 0;
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
    if (document.querySelector("dialog[open]")) return;
    const follows = event.timeStamp - leaderAt < SEQUENCE_LIMIT_MILLISECONDS;
    leaderAt = 0;
    if (follows && PLACES[event.key]) {
      location.assign(PLACES[event.key]);
    } else if (event.key === "g") {
      leaderAt = event.timeStamp;
    } else if (event.key === "/") {
      const field = document.querySelector("[data-filter]");
      if (!field) return;
      event.preventDefault();
      field.focus();
      field.select();
    } else if (event.key === "?") {
      document.getElementById("help").showModal();
    } else if (event.key === "d") {
      const link = document.querySelector("a[data-shortcut=d]");
      if (link) openDialog(link.href);
    }
  });
}

function isTyping(target) {
  // A dialog that has just been closed keeps the focus for a moment.
  if (target.getClientRects?.().length === 0) return false;
  return target.isContentEditable || target.closest?.("input:not([type=checkbox], [type=radio]), textarea, select");
}
