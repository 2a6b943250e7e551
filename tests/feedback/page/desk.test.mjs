import assert from "node:assert/strict";
import { test } from "node:test";
import { startOf } from "../../../src/accord/feedback/static/desk.js";

test("a correction starts from the better side", () => {
  assert.equal(startOf(1, 4, "x"), 0);
  assert.equal(startOf(3, 4, "x"), 0);
  assert.equal(startOf(5, 4, "x"), 1);
});

test("a tie leans to neither side, and the same work starts from the same one", () => {
  const ids = Array.from({ length: 2000 }, (_, k) => `01a22c8d-4070-77e4-890f-${String(k * 7919).padStart(12, "0")}`);
  const share = ids.reduce((sum, id) => sum + startOf(4, 4, id), 0) / ids.length;
  // 2000 draws of a fair coin: 0.5 ± 4 standard errors of 0.0112
  assert.ok(Math.abs(share - 0.5) < 0.045, String(share));
  assert.equal(startOf(4, 4, ids[3]), startOf(4, 4, ids[3]));
});

test("where both are bad there is nothing to start from", () => {
  assert.equal(startOf(0, 4, "x"), null);
});
