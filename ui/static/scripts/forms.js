/** A form is sent once, however often its button is pressed; choices show only the fields they need. */
export function startForms() {
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.dataset.sending) {
      event.preventDefault();
      return;
    }
    form.dataset.sending = "1";
    for (const button of form.querySelectorAll("button[type=submit]")) button.classList.add("is-sending");
  });
  addEventListener("pageshow", () => {
    for (const form of document.querySelectorAll("form[data-sending]")) {
      delete form.dataset.sending;
      for (const button of form.querySelectorAll(".is-sending")) button.classList.remove("is-sending");
    }
  });
  document.addEventListener("change", (event) => showWhatIsChosen(event.target.form));
  for (const form of document.forms) showWhatIsChosen(form);
}

function showWhatIsChosen(form) {
  for (const part of form?.querySelectorAll("[data-when]") ?? []) {
    const [name, ...values] = part.dataset.when.split(" ");
    part.hidden = !values.includes(new FormData(form).get(name) ?? "");
  }
}
