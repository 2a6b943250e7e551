import assert from "node:assert/strict";
import test from "node:test";
import { answersIn, forget, keep, kept, KEPT_MS, sweep } from "../../../src/accord/feedback/static/drafts.js";

class Store {
  #rows = new Map();
  get length() { return this.#rows.size; }
  key(i) { return [...this.#rows.keys()][i] ?? null; }
  getItem(name) { return this.#rows.get(name) ?? null; }
  setItem(name, value) { this.#rows.set(name, value); }
  removeItem(name) { this.#rows.delete(name); }
}

test("a draft holds answers and nothing the server put into the form", () => {
  const pairs = [["csrf", "c"], ["token", "t"], ["assignment", "a"], ["key", "k"], ["q.x", "1"], ["q.x", "2"]];
  assert.deepEqual(answersIn(pairs), [["q.x", "1"], ["q.x", "2"]]);
});
test("what is kept is found again until it is forgotten", () => {
  const store = new Store();
  assert.equal(keep(store, "a", { answers: [["q", "1"]] }, 5), true);
  assert.deepEqual(kept(store, "a"), { answers: [["q", "1"]], at: 5 });
  forget(store, "a");
  assert.equal(kept(store, "a"), null);
});
test("old drafts go, fresh ones and what is not ours stay", () => {
  const store = new Store();
  keep(store, "old", {}, 0);
  keep(store, "new", {}, KEPT_MS);
  store.setItem("other", "x");
  sweep(store, KEPT_MS + 1);
  assert.deepEqual([kept(store, "old"), kept(store, "new")?.at, store.getItem("other")], [null, KEPT_MS, "x"]);
  sweep(store);
  assert.equal(store.length, 1);
});
test("a device that keeps nothing says so, and a broken draft counts as none", () => {
  const full = { setItem() { throw new Error("full"); }, getItem: () => "{", removeItem() { throw new Error("no"); } };
  assert.equal(keep(full, "a", {}, 0), false);
  assert.equal(kept(full, "a"), null);
  forget(full, "a");
  sweep(full, 1);
});
