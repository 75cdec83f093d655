// The page for uploads: a file is looked at, then sent again and followed. It stays in this tab, and nowhere else.
const TRIES = 5; // Times that a server which has no room is asked, before the reader is told.
const GONE = "The file was changed, moved or removed since it was chosen here, and a browser sends no such file. Nothing was sent: choose it again.";
const SIGNED_OUT = "You are signed out here, so nothing was sent just now. Sign in in another tab, then do the same again on this page.";
const form = document.getElementById("upload");
const look = document.getElementById("look");
const sending = document.getElementById("sending");
const bar = sending?.querySelector("progress");
const howFar = document.getElementById("how-far");
const number = new Intl.NumberFormat("en");
let isBusy = false;
let isSending = false;

export function startUploads(shown) {
  if (!form) return;
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (isBusy) return;
    run(event.submitter?.value === "send" ? send : ask, shown);
  });
  form.addEventListener("input", changed);
  takeDrops(form.elements.file, form.querySelector(".drop"));
  addEventListener("beforeunload", (event) => { if (isSending) event.preventDefault(); });
}

async function run(what, shown) {
  isBusy = true;
  form.setAttribute("aria-busy", "true");
  try {
    await what();
  } finally {
    isBusy = isSending = false;
    form.removeAttribute("aria-busy");
    sending.hidden = true;
    shown();
  }
}

function changed(event) {
  if (event.target.name === "confirmed") return;
  if (event.target.name === "file") return void look.replaceChildren();
  const button = look.querySelector("button[value=send]");
  if (button) button.disabled = true;
  const stale = document.getElementById("stale");
  if (stale) stale.hidden = false;
}

function takeDrops(input, place) {
  for (const kind of ["dragenter", "dragover"]) {
    addEventListener(kind, (event) => {
      if (!event.dataTransfer?.types.includes("Files")) return;
      event.preventDefault();
      place.classList.add("is-over");
    });
  }
  for (const kind of ["dragleave", "drop"]) addEventListener(kind, () => place.classList.remove("is-over"));
  addEventListener("drop", (event) => {
    if (!event.dataTransfer?.files.length) return;
    event.preventDefault(); // else the browser opens the file, wherever on the page it was dropped
    if (isBusy) return;
    const one = new DataTransfer();
    one.items.add(event.dataTransfer.files[0]);
    input.files = one.files;
    input.dispatchEvent(new Event("input", { bubbles: true }));
    input.focus();
  });
}

// The first click: the answer is the whole page, of which the look is taken.
async function ask() {
  if (!isFilled()) return;
  if (isTooLarge()) return void show(document.getElementById("too-large").content.cloneNode(true));
  if (!(await isThere())) return void tell(GONE);
  const shown = progress("Reading the file");
  const answer = await posted("/upload/look", "text/html", (sent, all) => {
    shown.update(sent < all ? "Sending the file to be read" : "Reading the file", sent < all ? sent / all : null);
  });
  if (answer === null) return void tell("The server did not answer. Try again.");
  if (answer.status === 401) return void tell(SIGNED_OUT);
  const found = new DOMParser().parseFromString(answer.text, "text/html").getElementById("look");
  if (!found) return void tell("The server gave no such answer as was expected. Load the page anew.");
  if (found.querySelector(".concern")) form.querySelector("details").open = true; // what is asked for may be said there
  show(...found.childNodes);
}

// The second click: the same file and what was said of it; lines tell how far it is.
async function send() {
  if (!form.reportValidity()) return;
  if (!(await isThere())) return void tell(GONE);
  isSending = true;
  const shown = progress("Sending the file");
  document.getElementById("sending-title").focus();
  let last = null;
  const read = (line) => {
    last = { ...last, ...line };
    if (line.waiting) shown.update(`Waiting: ${line.waiting}`, undefined);
    else if (line.total) {
      const text = `${number.format(line.users)} of ${number.format(line.total)} users are in the log`;
      shown.update(text, line.users / line.total);
    }
  };
  const answer = await posted("/upload/send", "application/x-ndjson", (sent, all) => {
    if (last === null) shown.update(sent < all ? "Sending the file" : "Reading the file", sent < all ? sent / all : null);
  }, read);
  if (answer?.status === 401) return void tell(SIGNED_OUT);
  if (last?.done) {
    isSending = false;
    location.assign(last.done);
    return new Promise(() => {}); // the session's page comes
  }
  const isRefused = answer !== null && answer.status >= 400;
  tell(last?.failed ?? (isRefused ? `The server, or a proxy before it, refused the file (${answer.status}).` : lost(last)));
}

function lost(last) {
  const session = form.elements.session.value;
  const far = last?.total ? `${number.format(last.users)} of ${number.format(last.total)} users were in the log by then. ` : "";
  return `The connection to the server ended. ${far}Look whether session ${session} is whole; if it is not, send it again from this page, as it is: what is in the log already counts once.`;
}

// Returns null where the server can't be reached. A server without room is asked again after the time that it says.
async function posted(url, accept, onSent, onLine = () => {}) {
  for (let tried = 1; ; tried += 1) {
    const answer = await once(url, accept, onSent, onLine);
    if (answer?.status !== 503 || !answer.wait || tried === TRIES) return answer;
    onLine({ waiting: "the server has no room just now", failed: undefined });
    await new Promise((resolve) => setTimeout(resolve, answer.wait * 1000));
  }
}

function once(url, accept, onSent, onLine) {
  return new Promise((resolve) => {
    const request = new XMLHttpRequest(); // it tells how much of the body has gone, as fetch does not
    let at = 0;
    const lines = () => {
      if (accept === "text/html") return;
      for (let end; (end = request.responseText.indexOf("\n", at)) >= 0; at = end + 1) {
        onLine(JSON.parse(request.responseText.slice(at, end)));
      }
    };
    request.open("POST", url);
    request.setRequestHeader("Accept", accept);
    request.upload.onprogress = (event) => onSent(event.loaded, event.total);
    request.onprogress = lines;
    request.onload = () => {
      lines();
      const rest = accept === "text/html" ? "" : request.responseText.slice(at);
      if (rest.startsWith("{") && request.status !== 401) onLine(JSON.parse(rest));
      resolve({ status: request.status, text: request.responseText, wait: Number(request.getResponseHeader("Retry-After")) });
    };
    request.onerror = () => resolve(null);
    request.send(new FormData(form));
  });
}

function progress(text) {
  sending.hidden = false;
  bar.removeAttribute("value");
  howFar.textContent = text;
  sending.scrollIntoView({ block: "nearest" });
  return {
    update(words, share) {
      howFar.textContent = words;
      if (share === null) bar.removeAttribute("value");
      else if (share !== undefined) bar.value = share;
    },
  };
}

function isTooLarge() {
  return form.elements.file.files[0]?.size > Number(form.dataset.most);
}

// Whether the file still is what was chosen: one that was saved again is read and sent by no browser.
async function isThere() {
  try {
    await form.elements.file.files[0].slice(0, 1).arrayBuffer();
    return true;
  } catch {
    return false;
  }
}

// Whether there is what a look needs; to take people out is confirmed later.
function isFilled() {
  const confirmed = form.elements.confirmed;
  if (confirmed) confirmed.required = false;
  const isIt = form.reportValidity();
  if (confirmed) confirmed.required = true;
  return isIt;
}

function show(...nodes) {
  look.replaceChildren(...nodes);
  document.getElementById("looked")?.focus();
}

function tell(text) {
  const told = document.getElementById("ended").content.cloneNode(true);
  told.querySelector(".problem-text").textContent = text;
  look.querySelector("#ended-early")?.remove();
  if (!look.querySelector("[name=seen]")) return void show(told);
  const place = told.firstElementChild; // the look stays, so that the same can be sent again
  place.id = "ended-early";
  place.querySelector("h2").id = "ended-title";
  place.setAttribute("aria-labelledby", "ended-title");
  look.append(place);
  place.querySelector("h2").focus();
}
