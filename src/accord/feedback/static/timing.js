// Active time: what passed while the page was in view and somebody was there, told to the server now and then.

export const IDLE_MS = 120000;

/** Milliseconds that count as active between two beats: none while hidden, no more than the idle limit. */
export function activeMs(sinceBeat, sinceInput, isHidden) {
  if (isHidden) return 0;
  return Math.max(0, Math.round(Math.min(sinceBeat, sinceBeat - Math.max(0, sinceInput - IDLE_MS))));
}

/**
 * A function that sends a beat for an assignment; the server keeps the lease and adds the time. Its `spent()`
 * is what passed since the start, in milliseconds: all of it, and what counted as active. `csrf` is a function.
 */
export function startBeats({ assignment, token, csrf, send, now, every = 15000 }) {
  const begun = now();
  let total = 0;
  let beaten = now();
  let touched = now();
  let wasHidden = false;
  for (const name of ["keydown", "pointerdown", "pointermove", "scroll"]) {
    globalThis.document?.addEventListener(name, () => { touched = now(); }, { passive: true });
  }
  const post = (step, body) => send(`/api/v1/assignments/${assignment}/${step}`, {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-CSRF-Token": csrf() },
    body: JSON.stringify({ token, ...body }),
  }).catch(() => null); // the server is away: time not told is lost, judgments are not
  const beat = () => {
    const at = now();
    const active = activeMs(at - beaten, at - touched, wasHidden);
    beaten = at;
    total += active;
    return post("heartbeat", { active_ms: active });
  };
  globalThis.document?.addEventListener("visibilitychange", () => {
    beat();
    wasHidden = globalThis.document.hidden;
  });
  if (every) setInterval(beat, every);
  post("open", {});
  beat.spent = () => ({ duration_ms: Math.round(now() - begun), active_ms: total });
  return beat;
}
