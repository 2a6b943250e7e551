"""Sampling through transformers' `generate()`: slow; the oracle that `native` is tested against."""

from collections.abc import Sequence
from typing import Any

import torch

from accord.domain.errors import ConfigError
from accord.domain.messages import Completion, FinishReason, Prompt
from accord.domain.streams import Streams
from accord.models.language_model import LanguageModel
from accord.rollouts.packing import fingerprint
from accord.rollouts.sampler import SamplingConfig, check_request


class GenerateSampler:
    """Samples with `generate()`, one prompt at a time, so that nothing is padded."""

    def __init__(self, model: LanguageModel):
        self.model = model

    @torch.no_grad()
    def sample(
        self, prompts: Sequence[Prompt], *, group: int = 1, config: SamplingConfig, streams: Streams
    ) -> list[list[Completion]]:
        """`group` completions for each prompt; seeds torch's generator within the call and puts it back."""
        if config.stop:
            raise ConfigError("sampling", ["stop texts are not for GenerateSampler; use NativeSampler"])
        prompt_ids = [self.model.tokenizer.prompt_ids(prompt) for prompt in prompts]
        check_request(prompt_ids, group=group, config=config, context_tokens=self.model.context_tokens)
        version = fingerprint(self.model.network.state_dict(keep_vars=True).values())
        groups = []
        was_training = self.model.network.training
        self.model.network.eval()
        try:
            for index, ids in enumerate(prompt_ids):
                autocast_off = torch.autocast(self.model.device.type, enabled=False)
                with autocast_off, torch.random.fork_rng(devices=[]):
                    torch.manual_seed(streams.child("generate", index).value)
                    groups.append(self._sample_group(ids, group, config, version))
        finally:
            self.model.network.train(was_training)
        return groups

    def _sample_group(
        self, ids: list[int], group: int, config: SamplingConfig, version: str
    ) -> list[Completion]:
        tokenizer = self.model.tokenizer
        network: Any = self.model.causal_lm
        output = network.generate(
            input_ids=torch.tensor([ids], device=self.model.device),
            attention_mask=torch.ones(1, len(ids), dtype=torch.long, device=self.model.device),
            max_new_tokens=config.max_tokens,
            num_return_sequences=group,
            eos_token_id=sorted(tokenizer.stop_ids),
            pad_token_id=tokenizer.pad_id,
            return_dict_in_generate=True,
            output_scores=not config.is_greedy,
            output_logits=config.is_greedy,
            **_draw_arguments(config),
        )
        steps = torch.stack(output.logits if config.is_greedy else output.scores, 1).float().log_softmax(-1)
        return [
            self._completion(row[len(ids) :].tolist(), step, version)
            for row, step in zip(output.sequences, steps, strict=True)
        ]

    def _completion(self, row: list[int], steps: torch.Tensor, version: str) -> Completion:
        stop_ids = self.model.tokenizer.stop_ids
        end = next((place for place, token in enumerate(row) if token in stop_ids), None)
        ids = row if end is None else row[: end + 1]
        return Completion(
            text=self.model.tokenizer.decode(ids if end is None else ids[:-1]),
            token_ids=tuple(ids),
            logprobs=tuple(steps[place, token].item() for place, token in enumerate(ids)),
            finish_reason=FinishReason.LENGTH if end is None else FinishReason.STOP,
            policy_version=version,
        )


def _draw_arguments(config: SamplingConfig) -> dict[str, Any]:
    if config.is_greedy:
        return {"do_sample": False}
    return {
        "do_sample": True,
        "temperature": config.temperature,
        "top_p": config.top_p,
        "top_k": config.top_k,
        "min_p": config.min_p or None,
    }
