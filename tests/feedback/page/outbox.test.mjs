import assert from "node:assert/strict";
import test from "node:test";
import { makeOutbox } from "../../../src/accord/feedback/static/outbox.js";

class Store {
  #rows = new Map();
  get length() { return this.#rows.size; }
  key(i) { return [...this.#rows.keys()][i] ?? null; }
  getItem(name) { return this.#rows.get(name) ?? null; }
  setItem(name, value) { this.#rows.set(name, value); }
  removeItem(name) { this.#rows.delete(name); }
}
const ok = { status: 200, ok: true, body: {} };
const make = (store, post, owner = "ann") => {
  const heard = [];
  const outbox = makeOutbox({ store, post, owner, wait: async () => null, tell: (event, letter) => heard.push(`${event} ${letter.id}`) });
  return { outbox, heard };
};

test("letters go out in order, each until it is taken, with the same body", async () => {
  const answers = [new Error("away"), { status: 503, ok: false }, ok, ok];
  const sent = [];
  const { outbox, heard } = make(new Store(), async (path, body) => {
    sent.push(body);
    const answer = answers.shift();
    if (answer instanceof Error) throw answer;
    return answer;
  });
  outbox.add({ id: "a", path: "/x", body: "1" });
  await outbox.add({ id: "b", path: "/x", body: "2" });
  while (outbox.size) await new Promise((done) => setImmediate(done));
  assert.deepEqual(sent, ["1", "1", "1", "2"]);
  assert.deepEqual(heard.filter((one) => one.startsWith("saved")), ["saved a", "saved b"]);
});
test("what an earlier page left behind is taken up by the same person alone", async () => {
  const store = new Store();
  const never = () => new Promise(() => {});
  make(store, never).outbox.add({ id: "a", path: "/x", body: "1" });
  const other = make(store, async () => ok, "ben");
  await other.outbox.recover();
  assert.deepEqual(other.heard, []);
  const same = make(store, async () => ok);
  await same.outbox.recover();
  assert.deepEqual(same.heard, ["sending a", "saved a"]);
  assert.equal(store.length, 0);
});
test("signed out it waits, keeps everything, and goes on with a fresh token", async () => {
  const store = new Store();
  let isIn = false;
  const sent = [];
  const { outbox } = make(store, async (path, body) => { sent.push(body); return isIn ? ok : { status: 401, ok: false }; });
  await outbox.add({ id: "a", path: "/x", body: "old" });
  assert.deepEqual([outbox.isHeld, outbox.size, store.length], [true, 1, 1]);
  isIn = true;
  await outbox.resume(() => "new");
  assert.deepEqual([outbox.size, sent], [0, ["old", "new"]]);
});
test("what the server refuses is told and does not hold up the rest", async () => {
  const { outbox, heard } = make(new Store(), async (path, body) => (body === "bad" ? { status: 422, ok: false, body: {} } : ok));
  outbox.add({ id: "a", path: "/x", body: "bad" });
  await outbox.add({ id: "b", path: "/x", body: "good" });
  while (outbox.size) await new Promise((done) => setImmediate(done));
  assert.ok(heard.includes("refused a") && heard.includes("saved b"));
});
