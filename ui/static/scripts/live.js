import { replaceFragment } from "./fragments.js";

/** Keep the parts of a page current: the server sends each fragment anew when it has changed. */
export function startLiveFragments() {
  const address = document.body.dataset.live;
  if (!address) return;
  const source = new EventSource(address);
  source.addEventListener("fragment", (event) => replaceFragment(JSON.parse(event.data)));
  source.addEventListener("gone", () => {
    source.close();
    location.reload();
  });
  source.addEventListener("open", () => document.body.classList.remove("is-stale"));
  source.addEventListener("error", () => document.body.classList.add("is-stale"));
  addEventListener("pagehide", () => source.close());
}
