#!/usr/bin/env bash
# Segment's destination for TikTok's audiences leaves out who has a phone number and nothing else
# (@segment/action-destinations 3.497.0).
#
# Phone numbers can be switched on beside e-mail addresses. The actions that add and remove single users pass over whoever
# has neither an address nor an advertising id, before they look at the number: of two people one is sent, and nothing says
# that the other was not. The newer action that keeps audiences in sync sends both.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-audit --no-fund --ignore-scripts @segment/actions-core@3.170.0 liquidjs@10.25.7
npm pack --silent @segment/action-destinations@3.497.0 >/dev/null # alone: its other parts need hundreds of packages
mkdir -p node_modules/@segment/action-destinations
tar xzf segment-action-destinations-3.497.0.tgz -C node_modules/@segment/action-destinations --strip-components=1
cat > show.js <<'JAVASCRIPT'
const tiktok = "@segment/action-destinations/dist/destinations/tiktok-audiences";
const single = require(`${tiktok}/functions.js`);
const sync = require(`${tiktok}/syncAudience/functions.js`);

const wanted = { send_email: true, send_phone: true, send_advertising_id: false, external_audience_id: "1" };
const people = () => [
  { ...wanted, email: "ada@example.com", phone: "+14155550100" },
  { ...wanted, phone: "+14155550101" },
];
console.log("given 2 people; single users sends", single.extractUsers(people()).length, "| sync sends", sync.extractUsers(people()).length);
JAVASCRIPT
seen=$(node show.js 2>errors) || { tail -5 errors; exit 1; }
expected="given 2 people; single users sends 1 | sync sends 2"
echo "$seen"
[ "$seen" = "$expected" ] || { echo "This has changed; expected: $expected"; exit 1; }
