// The answers side by side: where they differ, how they scroll, and one at a time on a narrow screen.
import { differences, similarity } from "./diff.js";

export const SIMILAR = 0.8;
const WAYS = ["page", "linked", "apart"];

/** The panes of a work form. `noted` collects what was used; `t` speaks. */
export function makePanes(form, { noted, t, say, way = "page" }) {
  const panes = [...form.querySelectorAll(".candidate")];
  const bodies = panes.map((one) => one.querySelector(".body"));
  const texts = panes.map((one) => one.querySelector(".text"));
  const isPair = panes.length === 2 && !form.querySelector("[data-spans]");
  const offsets = panes.map(() => 0);
  let isLeading = false;

  const shownAs = (kind) => panes.forEach((pane, place) => {
    pane.querySelector(".prose")?.toggleAttribute("hidden", kind !== "prose");
    texts[place]?.toggleAttribute("hidden", kind !== "text");
    pane.querySelector(".diff")?.toggleAttribute("hidden", kind !== "diff");
  });

  function drawDiff() {
    const found = differences(texts[0].textContent, texts[1].textContent);
    [found.left, found.right].forEach((runs, place) => {
      const box = Object.assign(document.createElement("div"), { className: "text diff", dir: "auto" });
      for (const run of runs) {
        const piece = document.createElement(run.isOwn && run.text.trim() ? "mark" : "span");
        piece.textContent = run.text;
        box.append(piece);
      }
      texts[place].after(box);
    });
    if (found.isTooLong) say(t("These answers are too long to be compared word by word."));
  }

  function scrollAs(wanted) {
    const box = form.querySelector(".candidates");
    if (!box) return;
    box.dataset.scroll = wanted;
    noted.scroll = wanted;
  }

  bodies.forEach((body, place) => body.addEventListener("scroll", () => {
    if (isLeading || form.querySelector(".candidates").dataset.scroll !== "linked") return;
    isLeading = true;
    const share = body.scrollTop / Math.max(1, body.scrollHeight - body.clientHeight);
    bodies.forEach((other, k) => { if (k !== place) other.scrollTop = share * (other.scrollHeight - other.clientHeight); });
    requestAnimationFrame(() => { isLeading = false; });
  }, { passive: true }));

  function side(wanted) {
    const on = panes.findIndex((one) => one.classList.contains("on"));
    const next = wanted ?? (on + 1) % Math.max(1, panes.length);
    offsets[on] = scrollY;
    panes.forEach((one, k) => one.classList.toggle("on", k === next));
    form.querySelectorAll("[data-side]").forEach((one, k) => one.setAttribute("aria-pressed", String(k === next)));
    if (matchMedia("(max-width: 900px)").matches) scrollTo(0, offsets[next]);
  }
  for (const button of form.querySelectorAll("[data-side]")) button.addEventListener("click", () => side(Number(button.dataset.side)));

  let kind = form.querySelector("[data-spans]") ? "text" : "prose";
  if (way !== "page") scrollAs(way);
  return {
    /** Formatted or as it was written. */
    raw() {
      if (form.querySelector("[data-spans]")) return;
      kind = kind === "text" ? "prose" : "text";
      noted.raw = true;
      shownAs(kind);
    },
    /** Where two answers differ, or the answers again; says whether differences are shown now. */
    diff() {
      if (!isPair) { say(t("Differences are shown between two answers.")); return false; }
      if (!form.querySelector(".diff")) drawDiff();
      kind = kind === "diff" ? "prose" : "diff";
      noted.diff = true;
      shownAs(kind);
      return kind === "diff";
    },
    /** Whether two answers are so alike that their differences are worth a key. */
    isAlike: () => isPair && similarity(texts[0].textContent, texts[1].textContent) > SIMILAR &&
      texts[0].textContent !== texts[1].textContent,
    /** The next way to scroll. */
    scroll() {
      const box = form.querySelector(".candidates");
      const next = WAYS[(WAYS.indexOf(box?.dataset.scroll ?? "page") + 1) % WAYS.length];
      scrollAs(next);
      say({ page: t("The page scrolls as one."), linked: t("The answers scroll linked."), apart: t("Each answer scrolls by itself.") }[next]);
      return next;
    },
    side,
  };
}
