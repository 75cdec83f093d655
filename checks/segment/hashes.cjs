// What Segment's own code would send of each user: JSON lines in, JSON lines out, in order.
// Its compiled functions are called as they are; nothing is sent anywhere.
"use strict";

const { createInterface } = require("node:readline");
const path = require("node:path");

const destinations = path.join(
  path.dirname(require.resolve("@segment/action-destinations")),
  "destinations",
);
const facebook = require(path.join(destinations, "facebook-custom-audiences/sync/functions.js"));
const { SCHEMA_PROPERTIES } = require(path.join(destinations, "facebook-custom-audiences/sync/constants.js"));
const tiktok = require(path.join(destinations, "tiktok-audiences/syncAudience/functions.js"));

const COLUMNS = {
  EMAIL: (user) => ({ email: user.email }),
  PHONE: (user) => ({ phone: user.phone }),
  FN: (user) => ({ name: { first: user.firstName } }),
  LN: (user) => ({ name: { last: user.lastName } }),
  COUNTRY: (user) => ({ country: user.country }),
  ZIP: (user) => ({ zip: user.postalCode }),
};

// One value at a time: an error of one says nothing of the others.
function attempt(call) {
  try {
    return call() ?? "";
  } catch {
    return "!error";
  }
}

function ofFacebook(column, user) {
  return attempt(() => facebook.getData([COLUMNS[column](user)])[0][SCHEMA_PROPERTIES.indexOf(column)]);
}

function ofTikTok(payload) {
  return attempt(() => tiktok.extractUsers([{ external_audience_id: "1", ...payload }])[0][0].id);
}

createInterface({ input: process.stdin }).on("line", (line) => {
  const user = JSON.parse(line);
  const told = {
    facebook: Object.fromEntries(Object.keys(COLUMNS).map((column) => [column, ofFacebook(column, user)])),
    tiktok: {
      EMAIL_SHA256: ofTikTok({ email: user.email, send_email: true }),
      PHONE_SHA256: ofTikTok({ phone: user.phone, send_phone: true }),
    },
  };
  process.stdout.write(JSON.stringify(told) + "\n");
});
