/** The choice of light and dark is kept in a cookie, so that the next page arrives in it already. */
export function startTheme() {
  for (const form of document.querySelectorAll("form.themes")) {
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      event.stopPropagation();
      choose(event.submitter.value);
    });
  }
}

function choose(theme) {
  document.documentElement.dataset.theme = theme;
  document.cookie = `seaway_theme=${theme}; path=/; max-age=31536000; samesite=lax`;
  for (const button of document.querySelectorAll("form.themes button")) {
    button.setAttribute("aria-pressed", String(button.value === theme));
  }
}
