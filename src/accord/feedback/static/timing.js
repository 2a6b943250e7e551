// Active time: what passed while the page was in view and somebody was there, told to the server now and then.

export const IDLE_MS = 120000;

/**
 * Milliseconds that count as active between two beats: none while hidden, no more than the idle limit. Who reads
 * moves no mouse, so the limit is at least the time the reading takes.
 */
export function activeMs(sinceBeat, sinceInput, isHidden, idleMs = IDLE_MS) {
  if (isHidden) return 0;
  return Math.max(0, Math.round(Math.min(sinceBeat, sinceBeat - Math.max(0, sinceInput - idleMs))));
}

/**
 * A function that sends a beat for an assignment; the server keeps the lease and adds the time. Its `spent()`
 * is what passed since the start, in milliseconds: all of it, and what counted as active; `stop()` ends it.
 * `csrf` is a function.
 */
export function startBeats({ assignment, token, csrf, send, now, every = 15000, idleMs = IDLE_MS }) {
  const begun = now();
  const ending = new AbortController();
  const page = globalThis.document;
  let total = 0;
  let beaten = now();
  let touched = now();
  let wasHidden = false;
  const listen = (target, name, heard) => target?.addEventListener(name, heard, { passive: true, signal: ending.signal });
  for (const name of ["keydown", "pointerdown", "pointermove", "scroll"]) listen(page, name, () => { touched = now(); });
  const post = (step, body) => send(`/api/v1/assignments/${assignment}/${step}`, {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-CSRF-Token": csrf() },
    body: JSON.stringify({ token, ...body }),
  }).catch(() => null); // the server is away: time not told is lost, judgments are not
  const count = () => {
    const at = now();
    const active = activeMs(at - beaten, at - touched, wasHidden, Math.max(idleMs, IDLE_MS));
    beaten = at;
    total += active;
    return active;
  };
  const beat = () => post("heartbeat", { active_ms: count() });
  const turn = (isHidden) => {
    if (isHidden === wasHidden) return;
    beat();
    wasHidden = isHidden;
  };
  listen(page, "visibilitychange", () => turn(page.hidden));
  listen(globalThis.window, "blur", () => turn(true));
  listen(globalThis.window, "focus", () => turn(Boolean(page?.hidden)));
  const timer = every ? setInterval(beat, every) : null;
  post("open", {});
  beat.spent = () => ({ duration_ms: Math.round(now() - begun), active_ms: total });
  beat.stop = () => { ending.abort(); clearInterval(timer); };
  return beat;
}
