"""Sampling by vLLM, where it is installed: the same requests and completions as the native sampler.

The engine runs in this process on a copy of the weights; it gets the policy's weights anew whenever they have
changed, adapters merged. Its arithmetic is its own, so log-probs differ from the learner's by rounding: train
with an importance correction, or let the learner score anew. Equal streams give equal draws only as far as
the engine's own seeded sampling does.
"""

import os
import random
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from peft.tuners.lora import LoraLayer
from torch import Tensor

from accord.domain.errors import MissingExtra, ModelError
from accord.domain.messages import Completion, FinishReason, Prompt
from accord.domain.streams import Streams
from accord.models.export import save_model
from accord.models.language_model import LanguageModel
from accord.rollouts.packing import bias_of, fingerprint, is_mergeable, merged_weight
from accord.rollouts.sampler import SamplingConfig, check_request

ENGINE_DEFAULTS: Mapping[str, Any] = {
    "dtype": "bfloat16",
    "enable_prefix_caching": True,
    # Log-probs of the distribution drawn from (temperature, top-k, top-p), as the native sampler keeps them.
    "logprobs_mode": "processed_logprobs",
}
CACHED_TOKENS = 64 * 1024
"""Tokens for whose keys and values an engine takes memory, or one whole context if that is more. Left to
itself it takes nine tenths of the machine, or does not start where so much is not free."""


class VllmSampler:
    """Draws from `model`'s weights as they are at each call, through a vLLM engine."""

    def __init__(
        self, model: LanguageModel, *, options: Mapping[str, Any] | None = None, library: Any = None
    ):
        """`options` go to the engine over `ENGINE_DEFAULTS`; `library` is the vllm module unless given."""
        self.model = model
        self.library = import_vllm() if library is None else library
        self.options = {**ENGINE_DEFAULTS, **(options or {})}
        self._engine: Any = None
        self._version = ""

    def sample(
        self, prompts: Sequence[Prompt], *, group: int = 1, config: SamplingConfig, streams: Streams
    ) -> list[list[Completion]]:
        """`group` completions for each prompt, in the order of the prompts."""
        prompt_ids = [self.model.tokenizer.prompt_ids(prompt) for prompt in prompts]
        check_request(prompt_ids, group=group, config=config, context_tokens=self.model.context_tokens)
        if not prompts:
            return []
        requests = [{"prompt_token_ids": ids} for ids in prompt_ids for _ in range(group)]
        parameters = [
            self.library.SamplingParams(**self._arguments(config), seed=seed)
            for seed in completion_seeds(prompts, group, streams)
        ]
        with undisturbed():
            self._refresh()
            results = self._engine.generate(requests, parameters, use_tqdm=False)
        if len(results) != len(requests):
            raise ModelError(f"vLLM answered {len(results)} of {len(requests)} requests; expected all")
        completions = [self._completion(result.outputs[0]) for result in results]
        return [completions[start : start + group] for start in range(0, len(completions), group)]

    def _arguments(self, config: SamplingConfig) -> dict[str, Any]:
        return {
            "n": 1,
            "temperature": config.temperature,
            "top_p": config.top_p,
            "top_k": config.top_k or -1,
            "min_p": config.min_p,
            "max_tokens": config.max_tokens,
            "stop": list(config.stop),
            "stop_token_ids": sorted(self.model.tokenizer.stop_ids),
            "ignore_eos": True,  # ours are among them
            "logprobs": 0,  # of the drawn token alone
        }

    def _completion(self, output: Any) -> Completion:
        tokenizer, ids = self.model.tokenizer, list(output.token_ids)
        if output.logprobs is None or len(output.logprobs) != len(ids):
            raise ModelError(
                f"vLLM gave {len(output.logprobs or ())} log-probs for {len(ids)} tokens; expected one each"
            )
        logprobs = [step[token].logprob for token, step in zip(ids, output.logprobs, strict=True)]
        ended_by_token = bool(ids) and ids[-1] in tokenizer.stop_ids
        has_stopped = ended_by_token or output.finish_reason == "stop"
        # A stop text ends before the last token does, and only the engine knows where it cut.
        text = output.text if has_stopped and not ended_by_token else None
        return Completion(
            text=tokenizer.decode(ids[:-1] if ended_by_token else ids) if text is None else text,
            token_ids=tuple(ids),
            logprobs=tuple(logprobs),
            finish_reason=FinishReason.STOP if has_stopped else FinishReason.LENGTH,
            policy_version=self._version,
        )

    @torch.no_grad()
    def _refresh(self) -> None:
        """Start the engine at the first call; afterwards hand it the weights where they have changed."""
        version = fingerprint(self.model.network.state_dict(keep_vars=True).values())
        if version == self._version:
            return
        if self._engine is None:
            self._engine = start_vllm(self.model, self.library, self.options)
        else:
            # Not `load_weights` on its network, which knows nothing of the copies packed for its kernels.
            weights = {"weights_iterator": list(engine_weights(self.model))}
            self._engine.collective_rpc("reload_weights", kwargs=weights)
            self._engine.reset_prefix_cache()
        self._version = version


def start_vllm(model: LanguageModel, library: Any, options: Mapping[str, Any]) -> Any:
    """A vLLM `LLM` on the model's weights, adapters merged; `options` go over what the model says."""
    own = {"max_model_len": model.context_tokens, "kv_cache_memory_bytes": cache_bytes(model, options)}
    with tempfile.TemporaryDirectory(prefix="accord-vllm-") as place, undisturbed():
        folder = Path(place) / "model"
        save_model(model, folder)
        return library.LLM(model=str(folder), tokenizer=str(folder), **{**own, **options})


def cache_bytes(model: LanguageModel, options: Mapping[str, Any]) -> int:
    """Memory of the keys and values of `CACHED_TOKENS`."""
    config = model.causal_lm.config
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    size = 4 if options.get("dtype") == "float32" else 2
    tokens = max(CACHED_TOKENS, options.get("max_model_len", model.context_tokens))
    return int(2 * config.num_hidden_layers * heads * width * size * tokens)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Afterwards the generators and torch's threads are as before: an engine in this process sets them."""
    states = random.getstate(), np.random.get_state()
    set_threads, n_threads = torch.set_num_threads, torch.get_num_threads()
    with torch.random.fork_rng():
        try:
            yield
        finally:
            random.setstate(states[0])
            np.random.set_state(states[1])
            torch.set_num_threads = set_threads
            torch.set_num_threads(n_threads)


def engine_weights(model: LanguageModel) -> Iterator[tuple[str, Tensor]]:
    """`plain_weights`, and a tied head under its own name: the engine keeps a packed copy of it."""
    head = model.head_weight
    is_named = False
    for name, weight in plain_weights(model):
        is_named = is_named or name == "lm_head.weight"
        yield name, weight
    if not is_named:
        yield "lm_head.weight", head.detach()


def plain_weights(model: LanguageModel) -> Iterator[tuple[str, Tensor]]:
    """Weights under the names of the model without adapters, adapters merged; tied ones once."""
    given: list[Tensor] = []  # kept, so that none of them lends its identity to a later one
    for name, module in model.causal_lm.named_modules():
        if ".lora_" in name or name.endswith(".base_layer"):
            continue
        is_plain = is_mergeable(module)
        if isinstance(module, LoraLayer):
            if not is_plain:
                raise ModelError(f"the adapter on {name} cannot be merged for sampling; use NativeSampler")
            own = [("weight", merged_weight(module)), ("bias", bias_of(module))]
        else:
            own = list(module.named_parameters(recurse=False))
        for part, weight in own:
            if weight is not None and not any(weight is other for other in given):
                given.append(weight)
                yield f"{name}.{part}", weight.detach()


def completion_seeds(prompts: Sequence[Prompt], group: int, streams: Streams) -> list[int]:
    """A seed for each completion, from the prompt, how often it came before, and the sample's number."""
    seen: Counter[str] = Counter()
    seeds = []
    for prompt in prompts:
        stream = streams.child("prompt", prompt.id, seen[prompt.id])
        seen[prompt.id] += 1
        seeds += [stream.child(sample).value % 2**63 for sample in range(group)]
    return seeds


def import_vllm() -> Any:
    """The library; raises `MissingExtra` where it is not installed."""
    # In this process, so that new weights are handed over as they are and not by message.
    os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
    try:
        import vllm
    except ImportError as error:
        raise MissingExtra("sampling by vLLM", "vllm", command="pip install vllm") from error
    return vllm
