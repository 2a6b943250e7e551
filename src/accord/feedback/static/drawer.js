// The guidelines beside the work: opened at what the focused question is about, with what has changed marked.

/** The heading or paragraph that speaks of a question: the first that holds a word of its id or label. */
export function relevant(texts, question) {
  const words = question.toLowerCase().split(/[^\p{L}\p{N}]+/u).filter((word) => word.length > 3);
  return texts.findIndex((text) => words.some((word) => text.toLowerCase().includes(word)));
}

/** The drawer of a page; nothing where the project has no guideline. */
export function makeDrawer(document, { post, noted }) {
  const drawer = document.getElementById("guideline");
  if (!drawer) return { toggle() {}, close: () => false };
  const buttons = [...document.querySelectorAll('.tools [data-act="guidelines"]')];
  const set = (isOpen) => {
    drawer.classList.toggle("open", isOpen);
    for (const one of buttons) one.setAttribute("aria-expanded", String(isOpen));
  };
  const form = drawer.querySelector("#read");
  form?.addEventListener("submit", async (event) => {
    event.preventDefault();
    const answer = await post(form.action, new URLSearchParams(new FormData(form)).toString()).catch(() => null);
    if (!answer?.ok) return;
    form.remove();
    for (const one of document.querySelectorAll(".tools .dot")) one.remove();
  });
  let before = null;
  return {
    toggle(focused) {
      const isOpen = !drawer.classList.contains("open");
      set(isOpen);
      noted().guidelines = true;
      if (!isOpen) { before?.focus?.(); return; }
      before = focused;
      const guide = drawer.querySelector(".guide");
      const blocks = [...guide.children];
      const question = focused?.closest?.("[data-question]");
      const at = question ? relevant(blocks.map((one) => one.textContent), `${question.dataset.question} ${question.querySelector("legend")?.textContent ?? ""}`) : -1;
      const wanted = at >= 0 ? blocks[at] : guide.querySelector(".changed");
      guide.focus({ preventScroll: true });
      guide.scrollTop = wanted ? wanted.offsetTop - guide.offsetTop : 0;
    },
    /** Close it; says whether it was open. */
    close() {
      const wasOpen = drawer.classList.contains("open");
      if (wasOpen) { set(false); before?.focus?.(); }
      return wasOpen;
    },
  };
}
