"""The OpenAI-compatible interface over HTTP on loopback: tokens a second when several ask at once, and how
long a short request waits that comes while longer ones run, which began one after another.
"""

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


def short_beside_long(host: str, tokens: int, n_long: int) -> float:
    """Seconds of a request of 8 tokens that arrives while `n_long` of 8 times `tokens` are under way."""
    longer = [threading.Thread(target=ask, args=(host, seed, 8 * tokens, [])) for seed in range(n_long)]
    for asker in longer:
        asker.start()
        time.sleep(0.3)  # each joins a batch that runs already
    begun = time.perf_counter()
    ask(host, 99, 8, [])
    seconds = time.perf_counter() - begun
    for asker in longer:
        asker.join()
    return seconds


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
            for n_long in (0, *options.at_once):
                waited = short_beside_long(host, options.tokens, n_long)
                print(f"8 tokens beside {n_long:2d} long answers: {waited:.2f} s")
    finally:
        engine.close()


if __name__ == "__main__":
    main()
