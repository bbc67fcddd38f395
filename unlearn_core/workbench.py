"""The one model in memory and what can be asked of it: load, ask, rescore, heat. Knows no thread and no page."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from transformers.utils.logging import disable_progress_bar

from .config import EvaluationConfig
from .edits.edit import Edit
from .edits.kinds import load_edit
from .edits.stack import stack
from .errors import BadInput
from .evaluation import replacements
from .evaluation.consistency import consistency
from .evaluation.examination import ABOUT, Pass, by_item, examine, plain, read
from .evaluation.imprint import Imprint, load_imprint
from .evaluation.measure import Measurement, live_sample, measure
from .evaluation.patching import imprint_of
from .evaluation.references import floor, load_reference, reference_model
from .evaluation.removal import outcome
from .events import Answer, TokenScores, finite
from .generation import PairChunk, stream_pair, with_reference
from .models.loading import LoadedModel, load
from .models.prompts import encode_prompt, whole_words
from .originals import Originals
from .preflight import edit_file, model_folder
from .scoring import token_scores
from .store import RunRecord, Store, metrics_key
from .summary import relabelled_splits, scores, stated
from .topics.catalogue import completed, find_topic
from .topics.topic import Question, Topic

FOREIGN = ("The unlearning depth of this topic rests on a retrained model that did not grow from the original's trunk: even on "
           "answers that both know, its layers cost the original up to {cost:.2f} nats a token. Scores come out lower, and a model "
           "that never saw the topic does not reach 1 either (0.73 on book-series in that case). Compare within this topic only.")
Cancelled = Callable[[], bool]
OnProgress = Callable[[int, int], None]


class Workbench:
    """Holds the model loaded last, the edit used last and the originals' answers. Belongs to one thread, but for `places`:
    where a model went by (model, device, dtype) as asked for, in words."""

    def __init__(self, store: Store, trust_remote_code: bool = False) -> None:
        self.store, self.originals = store, Originals(store)
        self._trust = trust_remote_code
        disable_progress_bar()  # the library's own bar would run through our lines
        self.places: dict[tuple[str, str, str], str] = {}
        self._model: tuple[tuple[str, ...], LoadedModel] | None = None
        self._reference: tuple[tuple[str, ...], LoadedModel] | None = None
        self._edit: tuple[tuple[Path, int], Edit] | None = None

    def load(self, spec: str, device: str = "auto", dtype: str = "auto") -> LoadedModel:
        """The model, from memory if it is the one loaded last; otherwise that one is let go first. Raises BadInput."""
        key = (spec, device, dtype, _stamp(model_folder(spec)))
        if self._model is None or self._model[0] != key:
            self.drop()
            self._model = key, load(spec, device, dtype, self._trust)
            self.places[spec, device, dtype] = self._model[1].place
        return self._model[1]

    def drop(self) -> None:
        """Let the model go, for instance after a failure that may have left something on it."""
        self._model = self._reference = None
        gc.collect()

    def of(self, record: RunRecord) -> tuple[LoadedModel, Edit]:
        """A run's model and its edit, checked to belong together."""
        path = edit_file(str(record.path), self.store)
        loaded = self.load(record.config.model, record.config.device, record.config.dtype)
        key = path, path.stat().st_mtime_ns
        if self._edit is None or self._edit[0] != key:
            self._edit = key, load_edit(path)
        edit = self._edit[1]
        edit.check(loaded.model)
        made_for, dtype = edit.meta.get("weights_hash"), edit.meta.get("dtype")
        if made_for and dtype == str(loaded.dtype) and made_for != loaded.weights_hash:
            raise BadInput("This run was made with other weights.", "The model's files have changed since.",
                           "Run it again with the same settings.", field="model")
        return loaded, edit

    def topic(self, record: RunRecord) -> Topic:
        """The topic as the run saw it."""
        folder = model_folder(record.config.model)
        return completed(find_topic(record.config.topic, folder, self.store.uploads), folder).topic

    def ask(self, record: RunRecord, question: str, strength: float, max_tokens: int, temperature: float, seed: int,
            cancelled: Cancelled) -> Iterator[tuple[PairChunk, str]]:
        """Both answers so far, and the device that they come from, token by token; as long as the model can read. Where a model
        that never saw the topic is at hand, its answer stands beside them."""
        loaded, edit = self.of(record)
        room = (loaded.context or max_tokens) - len(encode_prompt(loaded.tokenizer, question, edit.turns(strength)))
        longest = min(max_tokens, room) if room > 0 else max_tokens
        chunks = stream_pair(loaded, edit, question, strength, longest, temperature, seed, cancelled)
        beside = self._beside(record, loaded)
        if beside is not None:
            chunks = with_reference(chunks, beside, question, longest, temperature, seed, cancelled)
        for chunk in chunks:
            yield chunk, loaded.place

    def _beside(self, record: RunRecord, loaded: LoadedModel) -> LoadedModel | None:
        """The model that never saw a run's topic; a topic that is no longer there has none."""
        try:
            return self.reference(loaded, self.topic(record))
        except BadInput:
            return None

    def rescore(self, record: RunRecord, strength: float, everything: bool, cancelled: Cancelled,
                on_progress: OnProgress) -> dict[str, Any]:
        """Accuracies at another strength, on the live sample or on every scored question."""
        loaded, edit = self.of(record)
        topic = self.topic(record)
        questions = None if everything else live_sample(topic, 0)
        found = measure(loaded, topic, edit, strength, questions, cancelled, on_progress)
        return {"strength": strength, "everything": everything, "perplexity": found.perplexity,
                "accuracy": accuracies(found, topic, loaded.folder)}

    def heat(self, record: RunRecord, question_ids: Sequence[str], strength: float,
             cancelled: Cancelled) -> Iterator[TokenScores]:
        """Token scores of those questions of the run's topic that exist, in the order asked for."""
        loaded, edit = self.of(record)
        questions: dict[str, Question] = {question.id: question for question in self.topic(record).questions}
        for question_id in question_ids:
            if cancelled():
                return
            if question_id in questions:
                yield token_scores(loaded, edit, questions[question_id], strength)

    def answers(self, record: RunRecord, question_ids: Sequence[str], strength: float, cancelled: Cancelled) -> Iterator[Answer]:
        """What the edited model answers at another strength, beside what the run's original answered: those of the questions that
        the run measured, in the order asked for."""
        loaded, edit = self.of(record)
        topic = self.topic(record)
        known = {event.question_id: event for event, _ in self.store.events(record.run_id) if isinstance(event, Answer)}
        asked = {question.id: question for question in topic.questions if question.id in known}
        questions = [asked[question_id] for question_id in question_ids if question_id in asked]
        found = measure(loaded, topic, edit, strength, questions, cancelled).answers
        for question in questions:
            was, now = known[question.id], found[question.id]
            word = outcome(question.split, was.original_ok, now.ok, was.reference_ok, topic.floors.get(question.split))
            yield replace(was, edited=now.answer, edited_ok=now.ok, edited_logprob=now.logprob, outcome=word)

    def evaluate(self, loaded: LoadedModel, topic: Topic, edits: Sequence[Edit], cancelled: Cancelled,
                 on_progress: OnProgress) -> dict[str, Any]:
        """Everything measured on a model, and on its edited self where there are edits; see `summary.scores`."""
        shared = cache(lambda: read(loaded, topic, None, cancelled))
        before, _ = self.originals.measurement(loaded, topic, cancelled, on_progress, lambda: shared().scores())
        reference = self.reference(loaded, topic)
        imprint = load_imprint(loaded.folder, topic, loaded.weights_hash)
        if imprint is None and reference is not None:
            imprint = imprint_of(loaded, reference, topic, cancelled)
        examined = _Examined(loaded, topic, reference, imprint, cancelled)
        beside = [reference.weights_hash if reference is not None else "", imprint.reference if imprint is not None else ""]
        stages = {"before": self.originals.metrics(loaded, topic, beside, lambda: examined.stage(before, None, shared()))}
        after = None
        if edits:
            edit = stack(edits)
            found = read(loaded, topic, edit, cancelled)
            after = measure(loaded, topic, edit, cancelled=cancelled, on_progress=on_progress, known=found.scores())
            stages["after"] = examined.stage(after, edit, found)
        swapped = relabelled_splits(topic, after) if after else {}
        body = scores(topic, load_reference(loaded.folder, topic), before, after)
        return finite(body | {name: {stage: parts[name] for stage, parts in stages.items()}
                              for name in ("metrics", "consistency", "items")} | {
            "instead": _instead(topic, before, after, whole_words(loaded.tokenizer)),
            "relabelled": swapped, "conditions": stated(topic, body, before, after, swapped), "weights_hash": loaded.weights_hash,
            "notices": [*loaded.notices, *([FOREIGN.format(cost=max(imprint.kept))] if imprint is not None and imprint.foreign
                                           else [])]})

    def metrics(self, record: RunRecord, cancelled: Cancelled, on_progress: OnProgress) -> dict[str, Any]:
        """Every metric of a run's original and of its result, kept for whoever asks again; with what is to be said of each."""
        loaded, edit = self.of(record)
        return self._kept(record.run_id, self.evaluate(loaded, self.topic(record), [edit], cancelled, on_progress))

    def measured(self, config: EvaluationConfig, cancelled: Cancelled, on_progress: OnProgress) -> dict[str, Any]:
        """The same without any unlearning: of a model, or of one with runs' edits on, on any topic. Raises BadInput."""
        loaded, folder = self.load(config.model, config.device), model_folder(config.model)
        found = completed(find_topic(config.topic, folder, self.store.uploads), folder)
        edits = [load_edit(edit_file(spec, self.store)) for spec in config.edits]
        for edit in edits:
            edit.check(loaded.model)
        body = self.evaluate(loaded, found.topic, edits, cancelled, on_progress)
        return self._kept(config.digest(), body | {"notices": [*found.notices, *body["notices"]]})

    def _kept(self, name: str, body: dict[str, Any]) -> dict[str, Any]:
        """What of an evaluation is shown as metrics, kept for whoever asks again; with what is to be said of each."""
        found = {part: body[part] for part in ("metrics", "items", "instead", "consistency", "conditions", "notices")}
        found["about"] = {metric: asdict(about) for metric, about in ABOUT.items()}
        self.store.keep(metrics_key(name), found)
        return found

    def reference(self, loaded: LoadedModel, topic: Topic) -> LoadedModel | None:
        """The model that never saw this topic, where its weights lie beside the model's own; the last one is held."""
        folder = reference_model(loaded.folder, topic)
        if folder is None:
            return None
        key = str(folder), str(loaded.device), str(loaded.dtype), _stamp(folder)
        if self._reference is None or self._reference[0] != key:
            self._reference = None
            self._reference = key, load(str(folder), loaded.device.type, loaded.number_format, self._trust)
        return self._reference[1]


@dataclass(frozen=True)
class _Examined:
    """What all metrics of a topic rest on."""

    loaded: LoadedModel
    topic: Topic
    reference: LoadedModel | None
    imprint: Imprint | None
    cancelled: Cancelled

    def stage(self, measured: Measurement, edit: Edit | None = None, found: Pass | None = None) -> dict[str, Any]:
        """All metrics as plain data, of the original or of its edited self; see `examine`."""
        metrics = examine(self.loaded, self.topic, measured, edit, self.reference, found, self.imprint, self.cancelled)
        return finite({"metrics": plain(metrics), "items": by_item(metrics, self.topic, self.imprint),
                       "consistency": plain(consistency(self.loaded, self.topic, measured.texts(), edit, self.cancelled))})


def _instead(topic: Topic, before: Measurement, after: Measurement | None, words: frozenset[str]) -> dict[str, Any]:
    """What stands in the place of the forget questions' answers, before and after; see `replacements`."""
    words = replacements.known_to(topic, words, before.texts(), after.texts() if after is not None else {})
    body = {"before": replacements.plain(replacements.replacements(topic, before.texts(), words))}
    if after is not None:
        lost = [q.id for q in topic.scored("forget") if before.answers[q.id].ok and not after.answers[q.id].ok]
        body["after"] = replacements.plain(replacements.replacements(topic, after.texts(), words), lost)
    return body


def accuracies(measurement: Measurement, topic: Topic, folder: Path | None) -> dict[str, dict[str, Any]]:
    """A measurement as plain data by split, with the floor of each."""
    reference = load_reference(folder, topic)
    body = {}
    for split in measurement.splits():
        score = measurement.split(split)
        lowest, kind = floor(topic, split, reference)
        body[split] = asdict(score) | {"reference": lowest, "reference_kind": kind}
    return body


def _stamp(folder: Path | None) -> str:
    """Changes when a local model's files do, so that a rebuilt model is read again."""
    if folder is None:
        return ""
    return str(max((path.stat().st_mtime_ns for path in folder.glob("*.safetensors")), default=0))
