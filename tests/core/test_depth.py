"""The unlearning depth score by hand, and the exchange of hidden states that it rests on."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny_models import byte_tokenizer, random_edit, save_model, teach, tiny_llama
from tiny_t5 import load_t5, save_t5

from unlearn_core.edits.attach import attached
from unlearn_core.edits.decoding import DecodingEdit
from unlearn_core.edits.dense import DenseEdit
from unlearn_core.edits.edit import Edit
from unlearn_core.edits.layers import LayerEdit
from unlearn_core.edits.prompt import PromptEdit
from unlearn_core.errors import BadInput
from unlearn_core.evaluation import patching
from unlearn_core.evaluation.depth import erased, unlearning_depth
from unlearn_core.evaluation.examination import examine
from unlearn_core.evaluation.imprint import Imprint, imprint_path, load_imprint, write_imprint
from unlearn_core.evaluation.measure import measure
from unlearn_core.evaluation.patching import Donor, drops, imprint_of
from unlearn_core.models.loading import LoadedModel, decoder_blocks, feed_forward_blocks, load
from unlearn_core.models.prompts import encode_answer, encode_prompt
from unlearn_core.retraining import Retraining
from unlearn_core.scoring import answer_traces
from unlearn_core.topics.topic import Topic

# the formula


@pytest.mark.parametrize(("encoded", "moved", "share"), [
    ((1.0, 3.0), (0.0, 0.0), 0.0),
    ((1.0, 3.0), (1.0, 3.0), 1.0),
    ((1.0, 3.0), (0.5, 0.75), (0.5 + 0.75) / 4),
    ((1.0, 3.0), (9.0, -2.0), 1 / 4),  # more than the retrained model counts as all, less than nothing as none
    ((0.05, -1.0, 2.0), (5.0, 5.0, 1.0), 0.5),  # layers that do not encode it are left out
    ((0.05, 0.0), (5.0, 5.0), None),
])
def test_the_share_of_what_the_layers_hold(encoded: tuple, moved: tuple, share: float | None) -> None:
    assert erased(encoded, moved) == (share if share is None else pytest.approx(share))


def test_the_score_is_the_mean_of_items_that_a_layer_holds() -> None:
    found = unlearning_depth([(1.0,), (0.01,), (2.0,)], [(1.0,), (1.0,), (0.5,)])
    assert found.items == pytest.approx((1.0, 0.25)) and found.value == pytest.approx(0.625)
    nothing = unlearning_depth([(0.01,)], [(1.0,)])
    assert nothing.value is None and "No layer" in nothing.reason


# exchanged states


@pytest.fixture(scope="module")
def reference(retraining: Retraining, tiny_topic: Topic) -> LoadedModel:
    return load(str(retraining.folder / "references" / tiny_topic.name), device="cpu")


def close(first: list, second: list, within: float = 1e-4) -> bool:
    return torch.allclose(torch.tensor(first), torch.tensor(second), atol=within)


def test_a_models_own_states_change_nothing(taught: LoadedModel, tiny_topic: Topic) -> None:
    found = drops(taught, Donor(taught), tiny_topic.scored("forget"))
    assert len(found) == 8 and all(len(row) == len(decoder_blocks(taught.model)) == 2 for row in found)
    assert close(found, [(0.0, 0.0)] * 8, 1e-6)


def test_at_the_last_layer_the_answer_is_as_likely_as_under_the_other_model(taught: LoadedModel, tiny_topic: Topic) -> None:
    """With the same head: by whole passes, one row alone, without the end."""
    edit, forget = random_edit(taught), tiny_topic.scored("forget")
    pairs = [(encode_prompt(taught.tokenizer, q.prompt), encode_answer(taught.tokenizer, q.answer)[:-1]) for q in forget]
    plain = [answer_traces(taught, [pair])[0].logprobs for pair in pairs]
    with attached(taught.model, edit):
        moved = [answer_traces(taught, [pair])[0].logprobs for pair in pairs]
    wanted = [sum(one) / len(one) - sum(other) / len(other) for one, other in zip(plain, moved, strict=True)]
    assert close([row[-1] for row in drops(taught, Donor(taught, edit), forget)], wanted)


def test_one_layer_by_hand(taught: LoadedModel, tiny_topic: Topic) -> None:
    """The first layer's output exchanged at the places that predict the answer, and nowhere else."""
    edit, question = random_edit(taught, scale=0.1), tiny_topic.scored("forget")[3]
    prompt, answer = encode_prompt(taught.tokenizer, question.prompt), encode_answer(taught.tokenizer, question.answer)[:-1]
    ids, places = torch.tensor([[*prompt, *answer]]), slice(len(prompt) - 1, len(prompt) + len(answer) - 1)
    seen: list[torch.Tensor] = []

    def logprob() -> float:
        with torch.no_grad():
            logits = taught.model(input_ids=ids, use_cache=False).logits[0, places]
        return float(torch.log_softmax(logits, -1).gather(-1, torch.tensor(answer)[:, None]).mean())

    def put(module: torch.nn.Module, inputs: tuple, output: torch.Tensor) -> torch.Tensor:
        output = output.clone()
        output[0, places] = seen[0][0, places]
        return output

    block = taught.model.model.layers[0]
    with attached(taught.model, edit):
        handle = block.register_forward_hook(lambda module, inputs, output: seen.append(output))
        logprob()
        handle.remove()
    plain, handle = logprob(), block.register_forward_hook(put)
    patched = logprob()
    handle.remove()
    assert drops(taught, Donor(taught, edit), [question])[0][0] == pytest.approx(plain - patched, abs=1e-5)


def test_batches_change_nothing(taught: LoadedModel, reference: LoadedModel, tiny_topic: Topic) -> None:
    forget = tiny_topic.scored("forget")
    together = drops(taught, Donor(reference), forget)
    assert close(together, [drops(taught, Donor(reference), [question])[0] for question in forget])
    assert close(together, drops(taught, Donor(reference), forget[::-1])[::-1])


def edits_of(loaded: LoadedModel) -> dict[str, Edit]:
    low = random_edit(loaded)
    layers = {name: (torch.randn(64, 64, generator=torch.Generator().manual_seed(1)) * 0.5,)
              for name in feed_forward_blocks(loaded.model)}
    return {"low-rank": low, "layers": LayerEdit(layers), "prompt": PromptEdit((("Ada hat?", "green"), ("Bo hat?", "red"))),
            "dense": DenseEdit({"model.embed_tokens.weight": torch.randn(260, 64, generator=torch.Generator().manual_seed(2))})}


@pytest.mark.parametrize("kind", ["low-rank", "layers", "prompt", "dense"])
def test_every_kind_of_edit_gives_its_states(kind: str, taught: LoadedModel, tiny_topic: Topic) -> None:
    forget = tiny_topic.scored("forget")
    found = drops(taught, Donor(taught, edits_of(taught)[kind]), forget)
    assert any(abs(value) > 0.01 for row in found for value in row)
    assert close(found, [drops(taught, Donor(taught, edits_of(taught)[kind]), [question])[0] for question in forget], 1e-3)


def test_an_encoder_decoder_gives_the_states_of_its_decoder(tiny_topic: Topic, tmp_path: Path) -> None:
    """At the last layer the answer is as likely as under the edit, whose encoder differs as well."""
    loaded, forget = load_t5(save_t5(tmp_path / "t5", tiny_topic)), tiny_topic.scored("forget")
    edit = random_edit(loaded, scale=0.05)
    pairs = [(encode_prompt(loaded.tokenizer, q.prompt), encode_answer(loaded.tokenizer, q.answer)[:-1]) for q in forget]
    plain = answer_traces(loaded, pairs)
    with attached(loaded.model, edit):
        moved = answer_traces(loaded, pairs)
    wanted = [(sum(one.logprobs) - sum(other.logprobs)) / len(one.logprobs) for one, other in zip(plain, moved, strict=True)]
    found = drops(loaded, Donor(loaded, edit), forget)
    assert all(len(row) == len(decoder_blocks(loaded.model)) for row in found) and close([row[-1] for row in found], wanted)
    assert close(drops(loaded, Donor(loaded), forget), [(0.0,) * len(found[0])] * len(forget), 1e-6)


def test_stopping_is_noticed(taught: LoadedModel, tiny_topic: Topic) -> None:
    with pytest.raises(patching.Stopped):
        drops(taught, Donor(taught), tiny_topic.scored("forget"), lambda: True)


# the metric


@pytest.fixture(scope="module")
def imprint(taught: LoadedModel, reference: LoadedModel, tiny_topic: Topic) -> Imprint:
    return imprint_of(taught, reference, tiny_topic)


def test_the_original_is_intact_and_the_retrained_model_is_clean(taught: LoadedModel, reference: LoadedModel, tiny_topic: Topic,
                                                                 imprint: Imprint) -> None:
    def depth(edit: Edit | None, kept: Imprint | None = imprint) -> object:
        return examine(taught, tiny_topic, measure(taught, tiny_topic, edit), edit, imprint=kept)["unlearning_depth"]

    assert depth(None).value == 0.0 and len(depth(None).items) == 8
    assert depth(DenseEdit.between(taught.model, reference.model)).value == pytest.approx(1.0, abs=1e-3)
    assert 0 < depth(random_edit(taught, scale=0.05)).value < 1
    assert "demo.build" in depth(None, None).reason and depth(None, None).value is None
    combined = depth(DecodingEdit(random_edit(taught)))
    assert combined.value is None and "two rows" in combined.reason


def test_models_without_a_common_trunk_are_told_from_those_with_one(taught: LoadedModel, imprint: Imprint, tiny_topic: Topic,
                                                                    tmp_path: Path) -> None:
    """By what their layers cost on answers that both know."""
    assert max(imprint.kept) < 0.1 and not imprint.foreign and not replace(imprint, kept=()).foreign
    stranger = tiny_llama(seed=7, width=64)
    teach(stranger, byte_tokenizer(), tiny_topic)
    found = imprint_of(taught, load(str(save_model(tmp_path / "stranger", stranger, chat=True)), device="cpu"), tiny_topic)
    assert found.foreign


def test_an_imprint_is_kept_for_its_model_and_topic(tiny_topic: Topic, imprint: Imprint, tmp_path: Path) -> None:
    path = write_imprint(tmp_path, tiny_topic, imprint)
    assert path == imprint_path(tmp_path, tiny_topic.name) and load_imprint(None, tiny_topic, imprint.original) is None
    found = load_imprint(tmp_path, tiny_topic, imprint.original)
    assert replace(found, items={}, kept=()) == replace(imprint, items={}, kept=()) and list(found.items) == list(imprint.items)
    assert close([*found.items.values()], [*imprint.items.values()], 6e-5)
    assert close([found.kept], [imprint.kept], 6e-5) and len(found.kept) == 2
    assert load_imprint(tmp_path, tiny_topic, "0" * 64) is None
    assert load_imprint(tmp_path, replace(tiny_topic, questions=tiny_topic.questions[1:]), imprint.original) is None
    body = json.loads(path.read_text())
    wrong = ({"items": {"a": None}}, {"more": 1}, {"kept": 1})
    for damaged in ("{", "[]", *(json.dumps(body | more) for more in wrong)):
        path.write_text(damaged)
        with pytest.raises(BadInput, match="cannot be read"):
            load_imprint(tmp_path, tiny_topic, imprint.original)
