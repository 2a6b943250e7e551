// Judgments on their way: written down on this device first, sent in order until the server has them, each under one key.

const PREFIX = "accord:outbox:";
const PATIENCE_MS = 1500;

/**
 * An outbox. `store` is the device's storage, `post(path, body)` answers `{ status, ok, body }` or throws where the
 * server is away, `wait(ms)` passes time, `tell(event, letter, answer)` hears "sending", "away", "saved", "refused"
 * and "signed-out". Letters of an earlier page that closed too soon are taken up by `recover`.
 */
export function makeOutbox({ store, post, wait, tell, owner = "" }) {
  const letters = [];
  const firsts = new Map();
  let isRunning = false;
  let isHeld = false;

  const keep = (letter) => {
    try { store.setItem(PREFIX + letter.id, JSON.stringify(letter)); } catch { /* kept in the page alone */ }
  };
  const forget = (letter) => {
    try { store.removeItem(PREFIX + letter.id); } catch { /* there is nothing to forget */ }
  };

  async function run() {
    if (isRunning) return;
    isRunning = true;
    for (let pause = 500; letters.length && !isHeld;) {
      const letter = letters[0];
      tell("sending", letter);
      try {
        if (firsts.has(letter.id)) await Promise.race([firsts.get(letter.id), wait(PATIENCE_MS)]);
        firsts.delete(letter.id);
        const answer = await post(letter.path, letter.body);
        if (answer.status >= 500 || answer.status === 429) throw new Error(`answer ${answer.status}`);
        if (answer.status === 401 || answer.status === 403) {
          isHeld = true;
          tell("signed-out", letter, answer);
          break;
        }
        letters.shift();
        forget(letter);
        tell(answer.ok ? "saved" : "refused", letter, answer);
        pause = 500;
      } catch {
        tell("away", letter);
        await wait(pause);
        pause = Math.min(pause * 2, 8000);
      }
    }
    isRunning = false;
  }

  return {
    /** Write a letter `{ id, path, body }` down and send it when its turn comes, after `first` where that is soon done. */
    add(letter, first = null) {
      const whole = { ...letter, owner };
      if (first) firsts.set(letter.id, first);
      letters.push(whole);
      keep(whole);
      return run();
    },
    /** Take up what an earlier page left behind for the same owner. */
    recover() {
      try {
        const names = [...Array(store.length).keys()].map((i) => store.key(i)).filter((name) => name?.startsWith(PREFIX));
        for (const name of names) {
          const letter = JSON.parse(store.getItem(name));
          if (letter.owner === owner && !letters.some((one) => one.id === letter.id)) letters.push(letter);
        }
      } catch { /* nothing that can be read */ }
      return run();
    },
    /** Go on after signing in again; `mend(body)` may put a fresh token into each. */
    resume(mend) {
      for (const letter of letters) { letter.body = mend(letter.body); keep(letter); }
      isHeld = false;
      return run();
    },
    /** Whether a letter is on its way. */
    has: (id) => letters.some((one) => one.id === id),
    /** Ids of the letters on their way. */
    get ids() { return letters.map((one) => one.id); },
    /** How many judgments the server does not have yet. */
    get size() { return letters.length; },
    /** Whether it waits for somebody to sign in. */
    get isHeld() { return isHeld; },
  };
}
