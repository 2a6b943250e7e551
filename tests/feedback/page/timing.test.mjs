import assert from "node:assert/strict";
import test from "node:test";
import { activeMs, IDLE_MS, startBeats } from "../../../src/accord/feedback/static/timing.js";

test("time in view with somebody there counts whole", () => assert.equal(activeMs(15000, 2000, false), 15000));
test("time in the background counts nothing", () => assert.equal(activeMs(15000, 0, true), 0));
test("what goes beyond the idle limit does not count", () => {
  assert.equal(activeMs(15000, IDLE_MS + 5000, false), 10000);
  assert.equal(activeMs(15000, IDLE_MS + 99000, false), 0);
});
test("beats open the work, then tell the time since the last one", async () => {
  const sent = [];
  let clock = 0;
  const beat = startBeats({
    assignment: "a", token: "t", csrf: () => "c", now: () => clock, every: 0,
    send: async (path, options) => { sent.push([path, JSON.parse(options.body), options.headers["X-CSRF-Token"]]); },
  });
  clock = 700;
  await beat();
  clock = 1000;
  await beat();
  assert.deepEqual(beat.spent(), { duration_ms: 1000, active_ms: 1000 });
  assert.deepEqual(sent, [
    ["/api/v1/assignments/a/open", { token: "t" }, "c"],
    ["/api/v1/assignments/a/heartbeat", { token: "t", active_ms: 700 }, "c"],
    ["/api/v1/assignments/a/heartbeat", { token: "t", active_ms: 300 }, "c"],
  ]);
});
test("a server that is away is no error", async () => {
  const beat = startBeats({
    assignment: "a", token: "t", csrf: () => "c", now: () => 0, every: 0, send: async () => { throw new Error("away"); },
  });
  assert.equal(await beat(), null);
});
