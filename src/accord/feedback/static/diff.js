// Where two answers differ, word by word: a longest common subsequence over words and the spaces between them.

const MOST = 4_000_000;

/** Words, signs and spaces of a text, in order; joined they are the text again. */
export function piecesOf(text) {
  return text.match(/[\p{L}\p{N}_]+|\s+|[^\p{L}\p{N}_\s]/gu) ?? [];
}

/** Share of words two texts have in common, by multiset: 2 |A ∩ B| / (|A| + |B|); 1 for two empty texts. */
export function similarity(left, right) {
  const words = (text) => piecesOf(text).filter((one) => one.trim());
  const [a, b] = [words(left), words(right)];
  if (!a.length && !b.length) return 1;
  const counts = new Map();
  for (const one of a) counts.set(one, (counts.get(one) ?? 0) + 1);
  let common = 0;
  for (const one of b) {
    if (counts.get(one)) { counts.set(one, counts.get(one) - 1); common += 1; }
  }
  return (2 * common) / (a.length + b.length);
}

/**
 * Both texts as runs `{ text, isOwn }`; `isOwn` where the other has nothing that matches. Texts too long for the
 * table come back whole, as one run that is shared.
 */
export function differences(left, right) {
  const [a, b] = [piecesOf(left), piecesOf(right)];
  let start = 0;
  while (start < a.length && start < b.length && a[start] === b[start]) start += 1;
  let end = 0;
  while (end < a.length - start && end < b.length - start && a.at(-1 - end) === b.at(-1 - end)) end += 1;
  const [inA, inB] = [a.slice(start, a.length - end), b.slice(start, b.length - end)];
  if (inA.length * inB.length > MOST) return { left: [{ text: left, isOwn: false }], right: [{ text: right, isOwn: false }], isTooLong: true };
  const [ownA, ownB] = own(inA, inB);
  const marks = (middle, all) => [...Array(start).fill(false), ...middle, ...Array(all.length - start - middle.length).fill(false)];
  return { left: runs(a, marks(ownA, a)), right: runs(b, marks(ownB, b)), isTooLong: false };
}

/** For each piece of either list whether the longest common subsequence leaves it out. */
function own(a, b) {
  const width = b.length + 1;
  const table = new Uint16Array((a.length + 1) * width);
  for (let i = a.length - 1; i >= 0; i -= 1) {
    for (let j = b.length - 1; j >= 0; j -= 1) {
      table[i * width + j] = a[i] === b[j] ? table[(i + 1) * width + j + 1] + 1
        : Math.max(table[(i + 1) * width + j], table[i * width + j + 1]);
    }
  }
  const [ownA, ownB] = [Array(a.length).fill(true), Array(b.length).fill(true)];
  for (let i = 0, j = 0; i < a.length && j < b.length;) {
    if (a[i] === b[j]) { ownA[i] = ownB[j] = false; i += 1; j += 1; }
    else if (table[(i + 1) * width + j] >= table[i * width + j + 1]) i += 1;
    else j += 1;
  }
  return [ownA, ownB];
}

function runs(pieces, isOwn) {
  const made = [];
  pieces.forEach((text, k) => {
    if (made.length && made.at(-1).isOwn === isOwn[k]) made.at(-1).text += text;
    else made.push({ text, isOwn: isOwn[k] });
  });
  return made;
}
