import assert from "node:assert/strict";
import test from "node:test";
import { actionOf, eventsOf } from "../../../../src/accord/pipeline/serving/static/chat.js";

const bodyOf = (parts) => new ReadableStream({
  start(control) {
    for (const part of parts) control.enqueue(part);
    control.close();
  },
});

test("events are whole however the bytes are cut", async () => {
  const text = 'data: {"side":0,"text":"a€"}\n\ndata: {"side":1,"text":"b\\n\\nc"}\n\ndata: {"done":true}\n\n';
  const bytes = new TextEncoder().encode(text);
  for (const size of [1, 2, 7, 1000]) {
    const parts = [];
    for (let at = 0; at < bytes.length; at += size) parts.push(bytes.slice(at, at + size));
    const found = [];
    for await (const event of eventsOf(bodyOf(parts))) found.push(event);
    assert.deepEqual(found, [{ side: 0, text: "a€" }, { side: 1, text: "b\n\nc" }, { done: true }]);
  }
});
test("digits vote outside the text field only, and not while answers come", () => {
  assert.deepEqual(actionOf({ key: "2" }), { name: "vote", place: 1 });
  assert.equal(actionOf({ key: "2" }, { isTyping: true }), null);
  assert.equal(actionOf({ key: "2" }, { isWriting: true }), null);
  assert.equal(actionOf({ key: "6" }), null);
});
test("enter asks, a new line does not, and a composed character is let be", () => {
  assert.deepEqual(actionOf({ key: "Enter" }, { isTyping: true }), { name: "ask" });
  assert.equal(actionOf({ key: "Enter", shiftKey: true }, { isTyping: true }), null);
  assert.equal(actionOf({ key: "Enter", isComposing: true }, { isTyping: true }), null);
});
test("escape stops what is written, or leaves the field", () => {
  assert.deepEqual(actionOf({ key: "Escape" }, { isTyping: true, isWriting: true }), { name: "stop" });
  assert.deepEqual(actionOf({ key: "Escape" }, { isTyping: true }), { name: "leave" });
  assert.equal(actionOf({ key: "Escape" }), null);
});
test("a held key and a chord do nothing", () => {
  assert.equal(actionOf({ key: "n", repeat: true }), null);
  assert.equal(actionOf({ key: "n", ctrlKey: true }), null);
  assert.deepEqual(actionOf({ key: "N" }), { name: "new" });
});
