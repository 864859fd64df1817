const REFRESH_MILLISECONDS = 5000;

/** "3 min ago" stays true while a page is open, and running durations count on. */
export function startTimes() {
  setInterval(refreshTimes, REFRESH_MILLISECONDS);
  setInterval(refreshDurations, 200);
}

function refreshTimes() {
  for (const element of document.querySelectorAll("time[data-relative]")) {
    element.textContent = relative(new Date(element.dateTime), new Date());
  }
}

function refreshDurations() {
  for (const element of document.querySelectorAll("[data-since]")) {
    element.textContent = duration((Date.now() - Date.parse(element.dataset.since)) / 1000);
  }
}

export function relative(moment, at) {
  const seconds = (at - moment) / 1000;
  if (seconds < 5) return "just now";
  if (seconds < 60) return `${Math.floor(seconds)} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ago`;
  const days = Math.floor(seconds / 86400);
  if (days < 7) return `${days} day${days === 1 ? "" : "s"} ago`;
  const month = moment.toLocaleString("en", { month: "short", timeZone: "UTC" });
  return `${moment.getUTCDate()} ${month} ${moment.getUTCFullYear()}`;
}

export function duration(seconds) {
  const known = Math.max(0, seconds);
  if (known < 9.95) return `${known.toFixed(1)} s`;
  const whole = Math.round(known);
  const two = (number) => String(number).padStart(2, "0");
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${two(whole % 60)} s`;
  return `${Math.floor(whole / 3600)} h ${two(Math.floor((whole % 3600) / 60))} min`;
}
