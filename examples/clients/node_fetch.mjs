// Upload two made-up people with Node's fetch: URL=http://127.0.0.1:8080 TOKEN=... node node_fetch.mjs
const users = [
  { email: "ada@example.com", firstName: "Ada" },
  { email: "soren@example.com", firstName: "Søren" },
];
const batch = { sessionId: Math.floor(Date.now() / 1000), sequence: 1, totalBatches: 1, totalUsers: users.length };
const { URL: url = "http://127.0.0.1:8080", TOKEN: token } = process.env;

const form = new FormData();
form.append("name", "Example fetch");
form.append("batch", JSON.stringify(batch));
form.append("users", JSON.stringify(users));

// No Content-Type here: fetch sets it with its boundary.
const answer = await fetch(`${url}/audience?sync=true`, {
  method: "POST",
  headers: token ? { Authorization: `Bearer ${token}` } : {},
  body: form,
  signal: AbortSignal.timeout(70_000),
});
console.log(answer.status, await answer.text());
process.exitCode = answer.ok ? 0 : 1;
