// Marks in answers: a selection becomes begin and end in code points of the answer's text.

/** Code points before a UTF-16 offset: what the server counts in. */
export function codePoints(text, offset) {
  return [...text.slice(0, offset)].length;
}

/** The marks a box holds, as the server takes them. */
export function marksOf(box) {
  return [...box.querySelectorAll("li")].map((one) => JSON.parse(one.dataset.mark));
}

function selected() {
  const selection = document.getSelection();
  if (!selection.rangeCount || selection.isCollapsed) return null;
  const range = selection.getRangeAt(0);
  const places = [...document.querySelectorAll(".candidate .text")];
  const place = places.findIndex((one) => one.contains(range.startContainer) && one.contains(range.endContainer));
  if (place < 0) return null;
  const before = document.createRange();
  before.setStart(places[place], 0);
  before.setEnd(range.startContainer, range.startOffset);
  const text = places[place].textContent;
  const start = before.toString().length;
  return { place, start: codePoints(text, start), end: codePoints(text, start + range.toString().length), quote: range.toString() };
}

for (const box of globalThis.document?.querySelectorAll("[data-spans]") ?? []) {
  for (const button of box.querySelectorAll("[data-label]")) {
    button.addEventListener("mousedown", (event) => event.preventDefault());
    button.addEventListener("click", () => {
      const found = selected();
      if (!found) return;
      const row = document.createElement("li");
      const { quote, ...mark } = found;
      row.dataset.mark = JSON.stringify({ ...mark, label: button.dataset.label });
      row.textContent = `${button.textContent}: “${quote}” `;
      const away = document.createElement("button");
      away.type = "button";
      away.className = "quiet";
      away.textContent = "remove";
      away.addEventListener("click", () => row.remove());
      row.append(away);
      box.querySelector("ol").append(row);
    });
  }
}
