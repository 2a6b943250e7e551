"""Tokens a second of the OpenAI-compatible interface when 1, 4 and 16 ask at once, over HTTP on loopback."""

import argparse
import http.client
import json
import threading
import time
from contextlib import closing
from urllib.parse import urlsplit

from accord.feedback.serving import app_here
from accord.models.loading import load_model
from accord.pipeline.serving.application import create_model_app
from accord.rollouts.engine import Engine


def ask(host: str, seed: int, tokens: int, counts: list[int]) -> None:
    body = {
        "model": "served",
        "messages": [{"role": "user", "content": f"Tell me about the number {seed}."}],
        "max_tokens": tokens,
        "seed": seed,
    }
    with closing(http.client.HTTPConnection(host, timeout=600)) as connection:
        headers = {"Content-Type": "application/json"}
        connection.request("POST", "/v1/chat/completions", json.dumps(body), headers)
        answer = json.loads(connection.getresponse().read())
    counts.append(answer["usage"]["completion_tokens"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--tokens", type=int, default=48)
    parser.add_argument("--at-once", type=int, nargs="+", default=[1, 4, 16])
    options = parser.parse_args()
    engine = Engine({"served": load_model(options.model)})
    try:
        with app_here(create_model_app(engine)) as address:
            host = urlsplit(address).netloc
            ask(host, 0, options.tokens, [])
            for count in options.at_once:
                counts: list[int] = []
                begun = time.perf_counter()
                askers = [
                    threading.Thread(target=ask, args=(host, seed, options.tokens, counts))
                    for seed in range(count)
                ]
                for asker in askers:
                    asker.start()
                for asker in askers:
                    asker.join()
                seconds = time.perf_counter() - begun
                print(f"{count:3d} at once: {sum(counts) / seconds:7.1f} tokens/s, {seconds:.1f} s")
    finally:
        engine.close()


if __name__ == "__main__":
    main()
