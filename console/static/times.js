// Times stand in UTC as the server writes them; beside each the reader's own, with its day where that is another one.
const moment = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
const hour = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });

export function showLocalTimes() {
  for (const time of document.querySelectorAll("time")) {
    const local = time.nextElementSibling;
    if (!local?.classList.contains("local")) continue;
    const at = new Date(time.dateTime);
    const text = `${(at.getDate() === at.getUTCDate() ? hour : moment).format(at)} here`;
    if (local.textContent !== text) local.textContent = text;
  }
}
