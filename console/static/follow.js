// Tell a page that something happened. One tab of a browser listens and tells the others; a hidden one does neither.
const MOMENT = 300; // Milliseconds for which what happens after some rest is gathered before the page is asked for again.
const PAUSE = 2000; // Milliseconds from one look to the next at least, while much happens: uploads need the server, too.
const REST = 3; // Times as long as the last look took until the next one at least: a large page is not asked for all the time.
const STILL = 30_000; // Milliseconds between two looks while nothing happens: lines of speed and times to go move on.
const KIND = "change"; // That anything did: what it is the page says, and the server need not read it twice.
const NAME = "audience-console-events";

export function follow(refresh) {
  const channel = new BroadcastChannel(NAME);
  let waiting = null;
  let earliest = 0; // When the next look may begin.
  let again = false; // Something happened while the page was being asked for.

  function changed() {
    again = waiting !== null;
    if (document.hidden || again) return;
    waiting = setTimeout(async () => {
      again = false;
      const begun = performance.now();
      try {
        await refresh();
      } catch {
        // The server is away: what happens next tries again.
      } finally {
        const ended = performance.now();
        earliest = ended + Math.max(PAUSE, REST * (ended - begun));
        waiting = null;
        if (again) changed();
      }
    }, Math.max(MOMENT, earliest - performance.now()));
  }

  channel.onmessage = changed;
  let stop = null;

  function listen() {
    if (stop || document.hidden) return;
    const ended = new AbortController();
    stop = ended;
    const tell = () => { channel.postMessage(null); changed(); };
    if (!navigator.locks) return void stream(tell, ended.signal);
    navigator.locks
      .request(NAME, { signal: ended.signal }, () => stream(tell, ended.signal))
      .catch(() => {}); // Stopped before it was this tab's turn.
  }

  document.addEventListener("visibilitychange", () => {
    if (document.hidden) {
      stop?.abort();
      stop = null;
    } else {
      changed();
      listen();
    }
  });
  addEventListener("pagehide", () => stop?.abort());
  addEventListener("pageshow", (event) => { if (event.persisted) { stop = null; listen(); } });
  listen();
}

// Returns when it is stopped. What an event says is not read: the page is asked for again, as it is for everybody.
function stream(tell, signal) {
  return new Promise((resolve) => {
    const events = new EventSource(`/events?kind=${KIND}`);
    for (const kind of [KIND, "reset"]) events.addEventListener(kind, tell);
    const timer = setInterval(tell, STILL);
    signal.addEventListener("abort", () => {
      events.close();
      clearInterval(timer);
      resolve();
    });
  });
}
