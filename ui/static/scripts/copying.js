const CONFIRMATION_MILLISECONDS = 1500;

/** Buttons marked data-copy put a text on the clipboard; data-copy-from names the element that holds it. */
export function startCopying() {
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy], [data-copy-from]");
    if (!button) return;
    const text = button.dataset.copy ?? textOf(document.querySelector(button.dataset.copyFrom));
    const label = button.textContent;
    button.textContent = (await write(text)) ? "Copied" : "Not allowed";
    setTimeout(() => (button.textContent = label), CONFIRMATION_MILLISECONDS);
  });
}

function textOf(element) {
  const lines = [...element.querySelectorAll(".log-line")].filter((line) => !line.hidden);
  return lines.length ? lines.map((line) => line.textContent).join("\n") + "\n" : element.textContent;
}

async function write(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return writeTheOldWay(text);
  }
}

// The clipboard object is missing on plain HTTP, where Seaway may well be served within a network.
function writeTheOldWay(text) {
  const area = document.createElement("textarea");
  area.value = text;
  area.className = "visually-hidden";
  document.body.append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  return done;
}
