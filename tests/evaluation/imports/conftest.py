"""Logs as the tools write them, made by hand after their schemas."""

import json
import struct
import zipfile
import zlib
from types import SimpleNamespace

import pytest


def lm_eval_sample(doc_id, value, *, prompt="a" * 64, filter="none", metric="acc", doc=None):
    return {
        "doc_id": doc_id,
        "doc": doc or {"question": f"question {doc_id}", "passage": f"p{doc_id // 2}"},
        "target": "1",
        "arguments": {"gen_args_0": {"arg_0": f"question {doc_id}", "arg_1": " yes"}},
        "resps": [[["-1.5", "False"]]],
        "filtered_resps": [["-1.5", "False"]],
        "filter": filter,
        "metrics": [metric],
        "doc_hash": "d" * 64,
        "prompt_hash": prompt,
        "target_hash": "t" * 64,
        metric: value,
    }


def lm_eval_results(task="boolq", *, mean=0.5, count=4, model="org/model"):
    return {
        "results": {task: {"alias": task, "acc,none": mean, "acc_stderr,none": 0.02}},
        "group_subtasks": {task: []},
        "configs": {task: {"task": task, "num_fewshot": 0}},
        "versions": {task: 2.0},
        "n-shot": {task: 0},
        "higher_is_better": {task: {"acc": True, "word_edit": False}},
        "n-samples": {task: {"original": 9, "effective": count}},
        "model_name": model,
        "chat_template_sha": None,
    }


def inspect_sample(name, value, *, epoch=1, scorer="match", error=None, metadata=None, text=None):
    sample = {
        "id": name,
        "epoch": epoch,
        "input": [{"id": f"random-{name}-{epoch}-{value}", "role": "user", "content": text or f"ask {name}"}],
        "target": "4",
        "messages": [],
        "output": {"model": "m", "choices": []},
        "metadata": metadata or {"source": "web"},
    }
    if error is not None:
        return {**sample, "error": {"message": error, "traceback": "", "traceback_ansi": ""}}
    return {**sample, "scores": {scorer: {"value": value, "answer": "4"}}}


def inspect_log(samples, *, model="openai/x", status="success", task="arithmetic"):
    spec = {"run_id": "r", "created": "2026-01-01", "task": task, "model": model, "config": {"epochs": 1}}
    spec["dataset"] = {"name": "d", "samples": len(samples)}
    return {"version": 2, "status": status, "eval": spec, "plan": {"steps": []}, "samples": samples}


def write_eval(path, log, *, header="header.json", entries=()):
    """The zip form, deflated."""
    samples = log["samples"]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        head = {name: value for name, value in log.items() if name != "samples"}
        archive.writestr(
            "_journal/start.json", json.dumps({name: head[name] for name in ("version", "eval")})
        )
        if header == "header.json":
            archive.writestr(header, json.dumps(head))
        for sample in samples:
            archive.writestr(f"samples/{sample['id']}_epoch_{sample['epoch']}.json", json.dumps(sample))
        for name, content in entries:
            archive.writestr(name, content)
    return path


def write_zstandard(path, contents):
    """A zip whose entries are packed by method 93, written field by field: zipfile cannot before 3.14."""
    import pyarrow

    body, directory = b"", b""
    for name, content in contents.items():
        packed = pyarrow.compress(content, codec="zstd", asbytes=True)
        sizes = (zlib.crc32(content), len(packed), len(content), len(name), 0)
        place = len(body)
        fields = (63, 0, 93, 0, 33, *sizes)
        body += struct.pack("<4s5H3I2H", b"PK\x03\x04", *fields) + name.encode() + packed
        directory += struct.pack("<4s6H3I5H2I", b"PK\x01\x02", 63, *fields, 0, 0, 0, 0, place) + name.encode()
    count = len(contents)
    end = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, count, count, len(directory), len(body), 0)
    path.write_bytes(body + directory + end)
    return path


def garak_report(attempts, *, threshold=0.5, model="org/target"):
    setup = {"entry_type": "start_run setup", "_config.version": "0.13", "plugins.target_type": "huggingface"}
    setup |= {"plugins.target_name": model, "run.eval_threshold": threshold, "run.generations": 2}
    rows = [setup, {"entry_type": "init", "garak_version": "0.13", "run": "r", "start_time": "t"}]
    for number, (probe, seq, text, results) in enumerate(attempts):
        attempt = {
            "entry_type": "attempt",
            "uuid": f"{model}-{number}",
            "seq": seq,
            "status": 1,
            "probe_classname": probe,
            "prompt": {"turns": [{"role": "user", "content": {"text": text, "lang": "en", "notes": {}}}]},
            "outputs": [{"text": "o"}],
            "detector_results": {},
        }
        rows += [attempt, {**attempt, "status": 2, "detector_results": results}]
    rows.append({"entry_type": "eval", "probe": "x", "detector": "d", "passed": 0, "total_evaluated": 1})
    return rows


def promptfoo_output(rows, *, version=3):
    results = [
        {
            "promptIdx": 0,
            "testIdx": number,
            "testCase": {"vars": {"q": question}, "metadata": {}},
            "promptId": "p",
            "provider": {"id": provider, "label": ""},
            "prompt": {"raw": f"Answer: {question}", "label": "Answer: {{q}}"},
            "vars": {"q": question},
            "success": success,
            "score": score,
            "failureReason": reason,
            "namedScores": named,
            "latencyMs": 3,
        }
        for provider, number, question, success, score, reason, named in rows
    ]
    summary = {"version": version, "timestamp": "t", "results": results, "prompts": [], "stats": {}}
    return {"evalId": "e", "results": summary, "config": {}, "shareableUrl": None}


def annotation(instruction, preference, *, model="new", baseline="gpt4"):
    return {
        "instruction": instruction,
        "output_1": "one",
        "generator_1": baseline,
        "dataset": "helpful_base",
        "output_2": "two",
        "generator_2": model,
        "annotator": "weighted_alpaca_eval_gpt4_turbo",
        "preference": preference,
        "price_per_example": 0.01,
    }


def write_lines(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def write_json(path, value):
    path.write_text(json.dumps(value), encoding="utf-8")
    return path


@pytest.fixture
def logs():
    makers = (lm_eval_sample, lm_eval_results, inspect_sample, inspect_log, write_eval, write_zstandard)
    makers += (garak_report, promptfoo_output, annotation, write_lines, write_json)
    return SimpleNamespace(**{maker.__name__: maker for maker in makers})
