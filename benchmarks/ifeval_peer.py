"""IFEval's verdicts beside those of a published scorer, on real answers bent towards what the prompts ask.

Prints one JSON line. The peer is lm-evaluation-harness's copy of the authors' scorer, from a folder that is
no part of this project: site-packages with lm_eval, nltk (its punkt_tab data under NLTK_DATA), langdetect and
immutabledict. Each prompt gets answers drawn from files of preferences, as they are and bent: an answer
without commas, with sections, quoted, in capitals; else almost every verdict would be no.
"""

import argparse
import gzip
import json
import random
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from accord.evaluation.suites.ifeval import IFEval, check_answer

TEXTS = ("output_1", "output_2", "response1", "response2", "left", "right")
"""Columns of the files of preferences that hold an answer."""
Verdicts = tuple[tuple[bool, ...], tuple[bool, ...]]
"""Of each instruction: strict, and loose."""
Peer = Callable[[Mapping[str, Any], str], Verdicts]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--peer", type=Path, required=True, help="folder that holds lm_eval and its needs")
    parser.add_argument("--prompts", required=True, help="IFEval's prompts")
    parser.add_argument("--answers", type=Path, nargs="*", default=[], help="files of preferences")
    parser.add_argument("--cases", type=Path, help="JSON lines of instruction, arguments, response")
    parser.add_argument("--each", type=int, default=12, help="answers to a prompt")
    parser.add_argument("--prompt-limit", type=int, default=None)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--shown", type=int, default=5, help="differences shown of each instruction")
    options = parser.parse_args(arguments)
    peer = load_peer(options.peer)
    if options.cases is not None:
        judge_cases(options.cases, peer)
        return
    items = IFEval().read_items(options.prompts).rows[: options.prompt_limit]
    texts = read_answers(options.answers)
    rows = draw_answers(items, texts, each=options.each, seed=options.seed)
    line = {"task": "ifeval_peer", "prompts": len(items), "texts": len(texts), "seed": options.seed}
    print(json.dumps(line | compare(rows, peer, shown=options.shown), ensure_ascii=False))


def load_peer(folder: Path) -> Peer:
    """The published scorer, its language detector seeded."""
    sys.path.append(str(folder))
    from langdetect import DetectorFactory
    from lm_eval.tasks.ifeval import utils

    DetectorFactory.seed = 0

    def judge(item: Mapping[str, Any], response: str) -> Verdicts:
        example = utils.InputExample(
            key=0,
            instruction_id_list=item["instruction_id_list"],
            prompt=item["prompt"],
            kwargs=[dict(values) for values in item["kwargs"]],
        )
        strict = utils.test_instruction_following_strict(example, response)
        loose = utils.test_instruction_following_loose(example, response)
        return tuple(strict.follow_instruction_list), tuple(loose.follow_instruction_list)

    return judge


def read_answers(paths: Sequence[Path]) -> list[str]:
    """Every different answer of the files, in their order."""
    found: dict[str, None] = {}
    for path in paths:
        with gzip.open(path, "rt", encoding="utf-8") as file:
            for line in file:
                row = json.loads(line)
                found.update((str(row[name]), None) for name in TEXTS if str(row.get(name) or "").strip())
    return list(found)


def draw_answers(
    items: Sequence[Mapping[str, Any]], texts: Sequence[str], *, each: int, seed: int
) -> Iterator[tuple[Mapping[str, Any], str]]:
    """(item, answer): a quarter as they are, the others bent towards some of the prompt's instructions."""
    generator = random.Random(seed)
    for item in items:
        for i in range(each):
            text = generator.choice(texts)
            if i % 4:
                for name, values in zip(item["instruction_id_list"], item["kwargs"], strict=True):
                    if generator.random() < 0.8:
                        text = bend(text, name, values, generator)
                if generator.random() < 0.2:
                    text = generator.choice(("Sure, here it is:\n", "**Answer**\n")) + text
                if generator.random() < 0.15:
                    text += "\nI hope that helps!"
            yield item, text


def bend(text: str, name: str, values: Mapping[str, Any], generator: random.Random) -> str:
    """The text as somebody might write it who had read the instruction, not always with success."""
    return BENDS.get(name.partition(":")[2], lambda text, values, draw: text)(text, values, generator)


def _with_words(text: str, values: Mapping[str, Any], draw: random.Random) -> str:
    for word in values.get("keywords") or values.get("forbidden_words") or []:
        text = _put(text, draw.choice((word, word.upper(), f"{word}s")), draw)
    return text


def _often(text: str, values: Mapping[str, Any], draw: random.Random) -> str:
    word = str(values.get("keyword") or values.get("letter"))
    return _put(text, " ".join([word] * draw.randint(1, 6)), draw)


def _cut_words(text: str, values: Mapping[str, Any], draw: random.Random) -> str:
    return " ".join(text.split()[: max(1, int(values["num_words"]) + draw.randint(-3, 3))])


def _cut_sentences(text: str, values: Mapping[str, Any], draw: random.Random) -> str:
    return " ".join(text.split()[: draw.randint(8, 25 * int(values["num_sentences"]) + 8)])


def _divided(text: str, values: Mapping[str, Any], draw: random.Random) -> str:
    parts = _parts(text.split(), max(1, int(values["num_paragraphs"]) + draw.choice((0, 0, 0, 1, -1))))
    return draw.choice(("\n***\n", "\n\n***\n\n", " *** ")).join(parts)


def _paragraphs(text: str, values: Mapping[str, Any], draw: random.Random) -> str:
    parts = _parts(text.split(), max(1, int(values["num_paragraphs"]) + draw.choice((0, 0, 0, 1, -1))))
    if draw.random() < 0.7:
        place, word = min(len(parts), int(values["nth_paragraph"])) - 1, str(values["first_word"])
        parts[place] = draw.choice((word, word.title(), f'"{word}', f"{word},")) + " " + parts[place]
    return "\n\n".join(parts)


def _placeholders(text: str, values: Mapping[str, Any], draw: random.Random) -> str:
    for i in range(int(values["num_placeholders"]) + draw.choice((0, 0, -1))):
        text = _put(text, f"[place {i}]", draw)
    return text


def _postscript(text: str, values: Mapping[str, Any], draw: random.Random) -> str:
    mark = str(values["postscript_marker"])
    return f"{text}\n\n{draw.choice((mark, mark.lower(), mark.replace('.', '. ')))} One more thing."


def _bullets(text: str, values: Mapping[str, Any], draw: random.Random) -> str:
    sign, more = draw.choice(("* ", "- ", "  * ", "*", "**")), draw.choice((0, 0, 0, 1))
    parts = _parts(text.split(), max(1, int(values["num_bullets"]) + more))
    return "\n".join(sign + part for part in parts)


def _chosen(text: str, values: Mapping[str, Any], draw: random.Random) -> str:
    return draw.choice(("My answer is yes.", "My answer is no.", "My answer is Maybe.", text))


def _highlights(text: str, values: Mapping[str, Any], draw: random.Random) -> str:
    for _ in range(max(0, int(values["num_highlights"]) + draw.choice((0, 0, -1)))):
        text = _put(text, draw.choice(("*in short*", "**in short**", "*in\nshort*")), draw)
    return text


def _sections(text: str, values: Mapping[str, Any], draw: random.Random) -> str:
    parts = _parts(text.split(), max(1, int(values["num_sections"]) + draw.choice((0, 0, -1))))
    shape, mark = draw.choice(("{} {}\n", "{} {}: ", "**{} {}**\n")), str(values["section_spliter"])
    return "\n\n".join(shape.format(mark, i + 1) + part for i, part in enumerate(parts))


def _json(text: str, values: Mapping[str, Any], draw: random.Random) -> str:
    body = json.dumps({"answer": text[:200], "n": draw.randint(1, 6)})
    return draw.choice(("{}", "```json\n{}\n```", "```\n{}\n```", "Here: {}")).format(body)


def _titled(text: str, values: Mapping[str, Any], draw: random.Random) -> str:
    return draw.choice(("<<A title>>\n", "<< A title >>\n\n", "<A title>\n")) + text


def _twofold(text: str, values: Mapping[str, Any], draw: random.Random) -> str:
    return draw.choice(("\n******\n", " ****** ", "\n*****\n")).join(_parts(text.split(), 2))


def _repeated(text: str, values: Mapping[str, Any], draw: random.Random) -> str:
    prompt = str(values["prompt_to_repeat"])
    return draw.choice((prompt, prompt.lower(), prompt.rstrip(".?"))) + "\n\n" + text


def _ended(text: str, values: Mapping[str, Any], draw: random.Random) -> str:
    phrase = str(values["end_phrase"])
    return f"{text} " + draw.choice((phrase, phrase.upper(), f'{phrase}"', phrase + " "))


def _quoted(text: str, values: Mapping[str, Any], draw: random.Random) -> str:
    return draw.choice(('"{}"', '"{}" ', "\u201c{}\u201d", '"{}')).format(text)


def _some_capitals(text: str, values: Mapping[str, Any], draw: random.Random) -> str:
    words = text.split()
    chosen = set(draw.sample(range(len(words)), min(len(words), 3 * draw.randint(1, 6))))
    return " ".join(word.upper() if i in chosen else word for i, word in enumerate(words))


Bend = Callable[[str, Mapping[str, Any], random.Random], str]
BENDS: Mapping[str, Bend] = {
    "existence": _with_words,
    "forbidden_words": _with_words,
    "frequency": _often,
    "letter_frequency": _often,
    "number_words": _cut_words,
    "number_sentences": _cut_sentences,
    "number_paragraphs": _divided,
    "nth_paragraph_first_word": _paragraphs,
    "number_placeholders": _placeholders,
    "postscript": _postscript,
    "number_bullet_lists": _bullets,
    "constrained_response": _chosen,
    "number_highlighted_sections": _highlights,
    "multiple_sections": _sections,
    "json_format": _json,
    "title": _titled,
    "two_responses": _twofold,
    "repeat_prompt": _repeated,
    "end_checker": _ended,
    "quotation": _quoted,
    "capital_word_frequency": _some_capitals,
    "english_capital": lambda text, values, draw: text.upper(),
    "english_lowercase": lambda text, values, draw: text.lower(),
    "no_comma": lambda text, values, draw: text.replace(",", ""),
}


def _put(text: str, piece: str, generator: random.Random) -> str:
    words = text.split(" ")
    words.insert(generator.randint(0, len(words)), piece)
    return " ".join(words)


def _parts(words: Sequence[str], count: int) -> list[str]:
    size = max(1, -(-len(words) // count))
    return [" ".join(words[i * size : (i + 1) * size]) for i in range(count)]


def compare(rows: Iterator[tuple[Mapping[str, Any], str]], peer: Peer, *, shown: int) -> dict[str, Any]:
    """Verdicts that differ, overall and by instruction, with the first texts on which they do."""
    counts: Counter[tuple[str, str]] = Counter()
    samples: dict[str, list[dict[str, Any]]] = {}
    answers = 0
    for item, text in rows:
        answers += 1
        ours = check_answer("", item["instruction_id_list"], item["kwargs"], text)
        theirs = peer(item, text)
        prompt_level = (all(ours.strict), all(ours.loose)), (all(theirs[0]), all(theirs[1]))
        counts["all", "prompt_strict_differs"] += prompt_level[0][0] != prompt_level[1][0]
        counts["all", "prompt_loose_differs"] += prompt_level[0][1] != prompt_level[1][1]
        counts["all", "prompt_strict_peer"] += prompt_level[1][0]
        counts["all", "prompt_strict_ours"] += prompt_level[0][0]
        for i, name in enumerate(item["instruction_id_list"]):
            counts[name, "n"] += 1
            counts[name, "kept"] += theirs[0][i]
            for mode, mine, other in (("strict", ours.strict, theirs[0]), ("loose", ours.loose, theirs[1])):
                if mine[i] != other[i]:
                    counts[name, mode] += 1
                    if len(samples.setdefault(name, [])) < shown:
                        found = {
                            "mode": mode,
                            "ours": mine[i],
                            "arguments": item["kwargs"][i],
                            "text": text[:600],
                        }
                        samples[name].append(found)
    names = sorted({name for name, _ in counts} - {"all"})
    verdicts = sum(counts[name, "n"] for name in names)
    return {
        "answers": answers,
        "verdicts": verdicts,
        **{name: counts["all", name] for _, name in counts if _ == "all"},
        "strict_differs": sum(counts[name, "strict"] for name in names),
        "loose_differs": sum(counts[name, "loose"] for name in names),
        "by_instruction": {
            name: {key: counts[name, key] for key in ("n", "kept", "strict", "loose")} for name in names
        },
        "differences": samples,
    }


def judge_cases(path: Path, peer: Peer) -> None:
    """The peer's verdicts on given cases, as JSON lines: what `tests/golden/ifeval_cases.jsonl` holds.

    Null where the peer itself fails: a keyword that is no pattern.
    """
    for line in path.read_text(encoding="utf-8").splitlines():
        case = json.loads(line)
        item = {
            "prompt": case["arguments"].get("prompt_to_repeat", ""),
            "instruction_id_list": [case["instruction"]],
            "kwargs": [case["arguments"]],
        }
        try:
            strict, loose = peer(item, case["response"])
        except re.error:
            strict, loose = (None,), (None,)  # type: ignore[assignment]
        print(json.dumps({**case, "strict": strict[0], "loose": loose[0]}, ensure_ascii=False))


if __name__ == "__main__":
    main()
