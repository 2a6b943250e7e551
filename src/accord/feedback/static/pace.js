// Pace: a question where somebody was far faster than reading takes, and a break when one is due. Neither ever blocks.

export const QUICK = 0.25;
export const BRIEF_MS = 4000;
export const BETWEEN = 20;
export const ITEMS = 50;
export const LONG_MS = 2 * 3600 * 1000;
export const SNOOZES = 2;

/** The time reading takes somebody: the general expectation until 50 items are known, then his own median pace. */
export function ownExpectation(expectedMs, ratios) {
  if (ratios.length < ITEMS) return expectedMs;
  const sorted = [...ratios].sort((a, b) => a - b);
  return expectedMs * Math.min(1, sorted[Math.floor(sorted.length / 2)]);
}

/** Whether to ask once more before a submission: far too quick for more than some lines, and not asked within 20 items. */
export function shouldAsk(spentMs, expectedMs, itemsSinceAsked) {
  return expectedMs > BRIEF_MS && spentMs < QUICK * expectedMs && itemsSinceAsked >= BETWEEN;
}

/**
 * What a person's work of this sitting calls for: null, "short" after 50 items, "long" after two hours at work.
 * `since` counts from the last break; a break put off twice is not suggested again before the next is due.
 */
export function dueBreak({ items, activeMs, snoozes }) {
  if (activeMs >= LONG_MS && snoozes <= SNOOZES) return "long";
  const due = ITEMS + 10 * snoozes;
  return items >= due && snoozes <= SNOOZES ? "short" : null;
}
