#!/usr/bin/env bash
# Segment's destination for Meta's audiences hashes a number as it is dialled at home, without its country
# (@segment/action-destinations 3.497.0).
#
# Meta matches numbers with their country's code. The destination takes the digits, drops zeros in front, and hashes: a
# number of London becomes one that begins with Egypt's code, one of San Francisco has no code at all, although the country
# stands in the same row. All of it is sent as good, and matches nobody or somebody else.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-audit --no-fund --ignore-scripts @segment/actions-core@3.170.0 liquidjs@10.25.7
npm pack --silent @segment/action-destinations@3.497.0 >/dev/null # alone: its other parts need hundreds of packages
mkdir -p node_modules/@segment/action-destinations
tar xzf segment-action-destinations-3.497.0.tgz -C node_modules/@segment/action-destinations --strip-components=1
cat > show.js <<'JAVASCRIPT'
const { createHash } = require("crypto");
const { getData } = require("@segment/action-destinations/dist/destinations/facebook-custom-audiences/sync/functions.js");

const hash = (text) => createHash("sha256").update(text).digest("hex");
const numbers = [
  ["020 7946 0018", "GB", "2079460018", "442079460018"],
  ["(415) 555-0100", "US", "4155550100", "14155550100"],
  ["+1 415 555 0100", "US", "14155550100", "14155550100"],
];
for (const [phone, country, digits, whole] of numbers) {
  const [row] = getData([{ phone, country }]);
  const found = { [hash(digits)]: digits, [hash(whole)]: whole }[row[2]];
  console.log(`${phone} (${country}): hash of ${found}, which Meta matches: ${found === whole}`);
}
JAVASCRIPT
seen=$(node show.js 2>errors) || { tail -5 errors; exit 1; }
expected="020 7946 0018 (GB): hash of 2079460018, which Meta matches: false
(415) 555-0100 (US): hash of 4155550100, which Meta matches: false
+1 415 555 0100 (US): hash of 14155550100, which Meta matches: true"
echo "$seen"
[ "$seen" = "$expected" ] || { echo "This has changed; expected: $expected"; exit 1; }
