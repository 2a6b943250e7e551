// Work fetched ahead of need: the next item is in the page before this one is done, and goes back when nobody is there.

export const AHEAD = 2;
export const AWAY_MS = 60000;

/**
 * A queue of fragments. `ask(have, count)` resolves to `{ works: [{ id, html }], gone: [id], empty }`; `back(ids)` gives
 * work back; `now()` is in milliseconds. Nothing here opens work: its time begins when it is shown.
 */
export function makeQueue({ ask, back, now, count = AHEAD }) {
  let works = [];
  const taken = new Set();
  let empty = null;
  let asking = null;
  let touched = now();
  let isAway = false;
  let isPaused = false;

  async function fill() {
    if (isAway || isPaused) return;
    const answer = await ask(works.map((one) => one.id), count);
    works = works.filter((one) => !answer.gone.includes(one.id));
    const fresh = answer.works.filter((one) => !works.some((other) => other.id === one.id) && !taken.has(one.id));
    empty = answer.empty;
    if (isAway || isPaused) await back(fresh.map((one) => one.id));
    else works.push(...fresh);
  }

  return {
    /** Renew what is held and fetch what is missing; one request at a time. A server that is away changes nothing. */
    refill() {
      asking ??= fill().catch(() => null).finally(() => { asking = null; });
      return asking;
    },
    /** The next piece of work, or null. */
    take() {
      const work = works.shift() ?? null;
      if (work) taken.add(work.id);
      return work;
    },
    /** Put a piece in front again. */
    putBack(work) { works.unshift(work); },
    /** Somebody is there. */
    touch() {
      touched = now();
      const wasAway = isAway;
      isAway = false;
      return wasAway;
    },
    /** Give everything back where nobody was there for a minute, or at once with `isLeaving`. */
    async release(isLeaving = false) {
      if (!isLeaving && now() - touched < AWAY_MS) return;
      isAway = !isLeaving;
      const ids = works.map((one) => one.id);
      works = [];
      if (ids.length) await back(ids);
    },
    /** A break: everything goes back, and nothing is fetched until it ends. */
    pause(isResting) {
      isPaused = isResting;
      return isResting ? this.release(true) : this.refill();
    },
    get size() { return works.length; },
    get empty() { return empty; },
  };
}
