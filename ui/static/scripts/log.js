import { refreshFragment } from "./fragments.js";

const LINES_PER_BLOCK = 200;
const AT_THE_END_PIXELS = 40;
const BY_HAND_MILLISECONDS = 1500;
const REFRESH_MILLISECONDS = 120;

export function startLogs() {
  for (const element of document.querySelectorAll("[data-log]")) {
    const log = new Log(element);
    if (element.dataset.log === "deployment") followDeployment(element, log);
    else followRuntime(element, log);
  }
}

/** The lines, the tools above them, and whether the newest line stays in sight. */
class Log {
  constructor(element) {
    this.element = element;
    this.lines = element.querySelector(".log-lines");
    this.count = element.querySelectorAll(".log-line").length;
    this.waiting = [];
    this.follows = true;
    this.step = "";
    this.startTools();
    this.scrollToEnd();
  }

  startTools() {
    const wrap = this.element.querySelector("[data-log-wrap]");
    wrap.addEventListener("click", () => {
      const wraps = this.lines.classList.toggle("wrap");
      wrap.setAttribute("aria-pressed", String(wraps));
    });
    this.followButton = this.element.querySelector("[data-log-follow]");
    this.followButton.addEventListener("click", () => this.follow(!this.follows));
    this.jump = document.createElement("button");
    this.jump.type = "button";
    this.jump.className = "log-jump";
    this.jump.textContent = "To the newest line";
    this.jump.hidden = true;
    this.jump.addEventListener("click", () => this.follow(true));
    this.element.append(this.jump);
    this.watchScrolling();
  }

  /** Whoever scrolls up reads; whoever comes back to the end follows again. */
  watchScrolling() {
    let touchedAt = -Infinity;
    for (const name of ["wheel", "touchmove", "pointerdown", "pointermove", "keydown"]) {
      this.lines.addEventListener(name, () => (touchedAt = performance.now()), { passive: true });
    }
    this.lines.addEventListener("scroll", () => {
      const rest = this.lines.scrollHeight - this.lines.scrollTop - this.lines.clientHeight;
      const wentUp = this.lines.scrollTop < this.lastTop;
      this.lastTop = this.lines.scrollTop;
      if (performance.now() - touchedAt > BY_HAND_MILLISECONDS) return;
      if (rest < AT_THE_END_PIXELS) this.follow(true);
      else if (wentUp) this.follow(false);
    });
    // Blocks out of sight have a guessed height; the end moves when they get their real one.
    this.sizes = new ResizeObserver(() => this.follows && this.scrollToEnd());
    for (const block of this.lines.querySelectorAll(".log-block")) this.sizes.observe(block);
  }

  follow(follows) {
    this.follows = follows;
    this.followButton.setAttribute("aria-pressed", String(follows));
    this.jump.hidden = follows;
    if (follows) this.scrollToEnd();
  }

  scrollToEnd() {
    this.lines.scrollTop = this.lines.scrollHeight;
    this.lastTop = this.lines.scrollTop;
  }

  /** Lines are drawn together, once for each frame, however fast they come. */
  add(line) {
    this.waiting.push(line);
    if (this.waiting.length === 1) requestAnimationFrame(() => this.draw());
  }

  draw() {
    this.lines.querySelector(".log-empty").hidden = true;
    let block = [...this.lines.querySelectorAll(".log-block")].at(-1);
    for (const line of this.waiting) {
      if (!this.belongs(block, line)) block = this.newBlock(line, block);
      block.append(this.newLine(line.text));
    }
    this.waiting = [];
    if (this.follows) this.scrollToEnd();
  }

  belongs(block, line) {
    return (
      block &&
      (block.dataset.step ?? "") === line.key &&
      (block.dataset.attempt ?? "") === line.attempt &&
      block.childElementCount < LINES_PER_BLOCK
    );
  }

  newBlock(line, previous) {
    const block = document.createElement("div");
    block.className = "log-block";
    if (line.key) block.dataset.step = line.key;
    if (line.attempt) block.dataset.attempt = line.attempt;
    block.hidden = this.isFiltered(line.key);
    const continues = previous?.dataset.step === line.key && previous?.dataset.attempt === line.attempt;
    if (line.heading && !continues) {
      const heading = document.createElement("div");
      heading.className = "log-heading";
      heading.textContent = line.heading;
      block.append(heading);
    }
    this.lines.append(block);
    this.sizes.observe(block);
    return block;
  }

  newLine(text) {
    const row = document.createElement("div");
    row.className = "log-line";
    row.dataset.number = ++this.count;
    const content = document.createElement("span");
    content.textContent = text;
    row.append(content);
    return row;
  }

  /** A newer attempt of a step replaces what its older ones wrote. */
  forget(key, attempt) {
    if (this.waiting.length) this.draw();
    for (const block of this.lines.querySelectorAll(`.log-block[data-step="${CSS.escape(key)}"]`)) {
      if (Number(block.dataset.attempt) < attempt) block.remove();
    }
    this.count = 0;
    for (const row of this.lines.querySelectorAll(".log-line")) row.dataset.number = ++this.count;
  }

  clear() {
    this.waiting = [];
    this.count = 0;
    for (const block of this.lines.querySelectorAll(".log-block")) block.remove();
  }

  filter(step) {
    this.step = step;
    for (const block of this.lines.querySelectorAll(".log-block")) {
      block.hidden = this.isFiltered(block.dataset.step);
    }
    if (this.follows) this.scrollToEnd();
  }

  isFiltered(key) {
    return this.step !== "" && this.step !== key;
  }

  say(word, state) {
    const live = this.element.querySelector("[data-log-live]");
    live.textContent = word;
    live.className = `live ${state}`;
  }
}

function followDeployment(element, log) {
  startStepFilter(element, log);
  if (!element.dataset.stream) return;
  const source = new EventSource(`${element.dataset.stream}?after=${element.dataset.last}`);
  const refresh = soon(() => refreshFragment(element.dataset.fragments));
  const titles = new Map();
  sayHowItStands(source, log);
  source.addEventListener("step", (event) => {
    const step = JSON.parse(event.data);
    titles.set(step.name, step.title);
    refresh();
  });
  source.addEventListener("log", (event) => {
    const line = JSON.parse(event.data);
    log.add({ ...placeOf(line, titles), attempt: String(line.attempt), text: line.text });
  });
  source.addEventListener("reset", (event) => {
    const reset = JSON.parse(event.data);
    log.forget(`${reset.step}@${reset.server}`, reset.attempt);
  });
  source.addEventListener("end", () => {
    source.close();
    log.say("", "");
    refresh();
  });
}

function placeOf(line, titles) {
  const title = titles.get(line.step) ?? line.step;
  const several = new Set([...document.querySelectorAll("#timeline [data-step]")].map((one) => one.dataset.step.split("@")[1])).size > 1;
  const server = several ? ` on ${line.server}` : "";
  const attempt = line.attempt > 1 ? `, attempt ${line.attempt}` : "";
  return { key: `${line.step}@${line.server}`, heading: `${title}${server}${attempt}` };
}

function followRuntime(element, log) {
  if (!element.dataset.stream) return;
  const source = new EventSource(`${element.dataset.stream}?lines=500`);
  sayHowItStands(source, log);
  // The first connection begins with the last lines again, later ones behind the newest that came.
  source.addEventListener("open", () => log.clear(), { once: true });
  source.addEventListener("log", (event) => {
    log.add({ key: "", attempt: "", heading: "", text: JSON.parse(event.data).text });
  });
}

function sayHowItStands(source, log) {
  source.addEventListener("open", () => log.say("Live", "on"));
  source.addEventListener("error", () => {
    if (source.readyState === EventSource.CLOSED) log.say("Not live: load the page again", "lost");
    else log.say("Connecting again…", "lost");
  });
  addEventListener("pagehide", () => source.close());
}

/** A step of the timeline and the list above the log choose what the log shows. */
function startStepFilter(element, log) {
  const select = element.querySelector("[data-log-step]");
  const choose = (key) => {
    select.value = key;
    log.filter(key);
    for (const button of document.querySelectorAll("#timeline [data-step]")) {
      button.setAttribute("aria-pressed", String(button.dataset.step === key));
    }
  };
  select.addEventListener("change", () => choose(select.value));
  document.addEventListener("click", (event) => {
    const button = event.target.closest("#timeline [data-step]");
    if (button) choose(button.getAttribute("aria-pressed") === "true" ? "" : button.dataset.step);
  });
  document.addEventListener("seaway:fragment", (event) => {
    if (event.detail.id !== "timeline") return;
    for (const button of event.detail.querySelectorAll("[data-step]")) {
      button.setAttribute("aria-pressed", String(button.dataset.step === log.step));
      if (!select.querySelector(`option[value="${CSS.escape(button.dataset.step)}"]`)) {
        select.append(new Option(button.dataset.title, button.dataset.step));
      }
    }
  });
}

function soon(action) {
  let timer = 0;
  return () => {
    clearTimeout(timer);
    timer = setTimeout(action, REFRESH_MILLISECONDS);
  };
}
