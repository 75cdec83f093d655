// What the pages do beyond being read: local times, commands to copy, and keeping up with what happens.
import { showLocalTimes } from "./times.js";
import { morph } from "./morph.js";
import { follow } from "./follow.js";

const REST = 10_000; // Milliseconds between two announcements at least: whoever listens is not to be talked over.

function offerCopies() {
  for (const button of document.querySelectorAll(".copy[hidden]")) {
    button.hidden = !navigator.clipboard;
  }
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest(".copy");
  if (!button) return;
  await navigator.clipboard.writeText(button.previousElementSibling.textContent);
  button.textContent = "Copied";
  setTimeout(() => { button.textContent = "Copy"; }, 2000);
});

let saidAt = -REST;
function announce(before) {
  const now = document.querySelector("[data-announce]")?.dataset.announce;
  if (!now || now === before || performance.now() - saidAt < REST) return;
  saidAt = performance.now();
  document.getElementById("said").textContent = `The session is now: ${now}`;
}

async function refresh() {
  const answer = await fetch(location.href, { headers: { Accept: "text/html" }, cache: "no-store" });
  if (answer.redirected) return location.reload(); // signed out meanwhile
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const before = document.querySelector("[data-announce]")?.dataset.announce;
  const fresh = new Map([...page.querySelectorAll("[data-live]")].map((one) => [one.dataset.live, one]));
  const shown = [...document.querySelectorAll("[data-live]")];
  if (shown.length !== fresh.size || shown.some((one) => !fresh.has(one.dataset.live))) {
    // A section came or went: the whole of the page is another one.
    morph(document.getElementById("main"), page.getElementById("main"));
  } else {
    for (const one of shown) morph(one, fresh.get(one.dataset.live));
  }
  document.title = page.title;
  showLocalTimes();
  offerCopies();
  announce(before);
}

showLocalTimes();
offerCopies();
if (document.querySelector("[data-live]")) follow(refresh);
if (document.getElementById("upload")) import("./upload.js").then((uploads) => uploads.startUploads(offerCopies));
