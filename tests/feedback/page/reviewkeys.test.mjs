import assert from "node:assert/strict";
import test from "node:test";
import { keyOf } from "../../../src/accord/feedback/static/reviewkeys.js";

test("digits choose, but never while somebody writes", () => {
  assert.deepEqual(keyOf({ key: "3" }, false), { name: "choose", number: 3 });
  assert.equal(keyOf({ key: "3" }, true), null);
  assert.equal(keyOf({ key: "0" }, false), null);
});
test("escape leaves a text field and does nothing elsewhere", () => {
  assert.deepEqual(keyOf({ key: "Escape" }, true), { name: "leave" });
  assert.equal(keyOf({ key: "Escape" }, false), null);
});
test("a held key and a chord do nothing", () => {
  assert.equal(keyOf({ key: "Enter", repeat: true }, false), null);
  assert.equal(keyOf({ key: "j", metaKey: true }, false), null);
});
test("capitals are the same keys", () => {
  assert.deepEqual(keyOf({ key: "J" }, false), { name: "move", step: 1 });
  assert.deepEqual(keyOf({ key: "K" }, false), { name: "move", step: -1 });
  assert.deepEqual(keyOf({ key: "m" }, false), { name: "gold" });
});
