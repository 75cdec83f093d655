#!/usr/bin/env bash
# Segment's destination for Meta's audiences sends removals and additions of a batch side by side, additions first
# (@segment/action-destinations 3.497.0).
#
# A batch has what happened in order: somebody leaves an audience and comes back. The additions become one POST and the
# removals one DELETE, begun in that order whatever the batch's, and neither waits for the other. So who came back is a
# member or not by which of two calls Meta handles last, and both events are reported as done.
# Meta is a function here that notes what it is asked, and answers late.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-audit --no-fund --ignore-scripts @segment/actions-core@3.170.0 liquidjs@10.25.7
npm pack --silent @segment/action-destinations@3.497.0 >/dev/null # alone: its other parts need hundreds of packages
mkdir -p node_modules/@segment/action-destinations
tar xzf segment-action-destinations-3.497.0.tgz -C node_modules/@segment/action-destinations --strip-components=1
cat > show.js <<'JAVASCRIPT'
const { send } = require("@segment/action-destinations/dist/destinations/facebook-custom-audiences/sync/functions.js");

async function calls(memberships) {
  const seen = [];
  const meta = async (url, { method, json }) => {
    seen.push(`${method} of ${json.payload.data.length} begins`);
    await new Promise((done) => setTimeout(done, 50));
    seen.push(`${method} ends`);
  };
  const ada = { email: "ada@example.com", external_audience_id: "1" };
  const answers = await send(meta, memberships.map(() => ({ ...ada })), true, memberships);
  return `${seen.join(", ")}; reported: ${answers.getAllResponses().map((one) => one.value().status)}`;
}

(async () => {
  console.log("leaves, comes back:", await calls([false, true]));
  console.log("comes, leaves:", await calls([true, false]));
})();
JAVASCRIPT
seen=$(node show.js 2>errors) || { tail -5 errors; exit 1; }
expected="leaves, comes back: POST of 1 begins, DELETE of 1 begins, POST ends, DELETE ends; reported: 200,200
comes, leaves: POST of 1 begins, DELETE of 1 begins, POST ends, DELETE ends; reported: 200,200"
echo "$seen"
[ "$seen" = "$expected" ] || { echo "This has changed; expected: $expected"; exit 1; }
