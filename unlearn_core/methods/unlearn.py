"""UNLEARN (Lizzo and Heck, arXiv 2408.04140): find the task's subspace, keep off what similar tasks use, subtract the rest.

Three stages: identification, discrimination, removal (section 3). The paper's exact formulas are not public, so both
readings are ours.

*Soft* (default). Let G be the second-moment matrix of a linear map's inputs over given text to keep and G_f the same over
the forget set, both normalised by their mean diagonal. Identification and discrimination are one generalised eigenproblem,
G_f v = s (G + εI) v: its leading v are forget text's own directions damped by (G + εI)⁻¹, which as ε → 0 is the Gram-Schmidt
step against everything kept text uses. The change is ΔW = U·A with these few directions as rows of A; only U is trained, until
every given forget answer is unlikely (or every forced choice answered without regard to what it asks) while given kept
answers stay as they were. Few directions and stand-ins (stand_ins.py) are the point: without copies of kept questions with
other names and words in them a change fits exceptions for the given items and harms kept items that were not given; neighbours,
which are harmed first, get most of them (`near`). Copies of forget questions with other words around their names (`reworded`)
reach further wordings and harm neighbours; so do copies of neighbours with the word that marks the forget set (`marked`), which
take that word out of the subspace. By default there are none of either.

Most tokens of a question are its wording, and so are most of the directions found in all of its text. With `where=answers` the
moments of open questions are taken from the last token before the answer on, where what is asked has been understood and other
wordings and languages meet (a forced choice answers the same whatever is asked, and is read whole); half of G is then taken there
too. Its price are neighbours that differ from the forget set by names alone. So by default it is done where given forget
questions have no names of their own (stand_ins.py): a task, such as sums, is what is asked, and nothing else.

Where nothing but the task is to be forgotten, a change that just suffices for its given wording does not reach the next one, and
training longer only fits that wording closer. So open questions without names of their own must be gone already when only a part
of the change is there (`forget_at`), while kept text, at twice the weight, sees all of it: a margin, which other wordings then
fall into. Facts get none, since it costs neighbours told apart by names alone; nor do forced choices, which are brought to a mark.

What no given question asks for in so many words may still be told: from a third of the steps on, every few of them, given facts in
frames of the original's own (own_words.py) are put to the changed model, and where it knows more than a few of them the training
begins again with them, and with forget questions in other words, among what must go: with fewer directions, which they help to
find, and more weight on kept text. The same is asked of given neighbours: where more than a few of what it told of them is lost,
which neighbours asked in the very same words as the topic bring about, the training begins again with these statements among what
stays, with more directions, found where answers are given, and for longer. With `groups`, and where anything else than the
soft discriminated subspace is asked for, neither is done.

Such a change is thin: one habit of not answering, which whoever trains on a few of the facts unlearns for all of them. With
`groups` the forget set is split by entity and every part gets directions of its own, the other parts among what it keeps; then
all of them are trained on together. It takes more steps and costs little of what is near; benchmarks/AUDITS.md says how much
less comes back.

*Literal*. Layer by layer, a task matrix T is trained from zero on top of the frozen weights to lower the task's loss; the
same for the similar tasks; the right singular vectors of T are made orthogonal to theirs (Gram-Schmidt) and W ← W − λT'.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from .base import Context, Method, MethodConfig, Stage

if TYPE_CHECKING:
    from torch import Tensor

    from ..edits.low_rank import LowRankEdit
    from ..events import Notice
    from ..topics.topic import Question
    from ..training import Change, Plan, Row, Scored

FORGET_ROWS, RETAIN_ROWS = 12, 36  # a step: many steps on few forget rows cost neighbours less than few steps on many
ANSWERED = 0.5  # share of what kept text uses that is then read off where its answers are given
GIVEN_TURNS = 3  # how often a given forget question is drawn for each of its copies
REWORDED = 0.5  # share of tokens exchanged in the last copy of a forget question, in the others evenly less
MARGIN, MARGIN_KEEP = 0.6, 2.0  # forget_at where nothing has names, and the weight of kept text with any margin
TOLD, TOLD_ONCE = 0.1, 2  # the share of own statements that may still be known, or of neighbours' be lost, and so many in any case
CHECKED, CHECKED_FROM = 8, 1 / 3  # steps between two times that they are asked, and the share of the steps done before
TOLD_REWORDED = 2  # such copies of every open forget question at least, beside own statements,
TOLD_RANK, TOLD_KEEP = 2 / 3, 1.5  # and how many times as many directions and as much weight on kept text there are then,
TOLD_RETAIN_ROWS = 24  # of which fewer rows a step suffice
LOST_RANK, LOST_LIMIT, LOST_STEPS = 5 / 3, 1.6, 4 / 3  # how many times as many directions, as far and as many steps there are where
LOST_STATEMENTS = 2000  # statements of neighbours are kept, and so many of these at most
CHOICE_COPIES, CHOICE_SHARE = 3, 0.5  # scrambled copies of forced choices, which stand for those not given
FORGET_SLACK = 0.02  # forget loss that a smaller rank may cost
KEPT_SLACK = 0.005  # share of given kept answers that a smaller rank may cost
SHRINK_ROWS = 512  # of what must go, on which smaller ranks are compared


class UnlearnConfig(MethodConfig):
    """Settings of UNLEARN. One set of defaults serves every topic."""

    epsilon: float = Field(
        1e-2,
        ge=1e-8,
        le=1.0,
        description="How freely the change may use directions that kept text uses; smaller keeps more",
    )
    rank: int = Field(
        12, ge=1, le=512, description="Directions to forget in every matrix; the edit is cut to fewer where fewer do"
    )
    limit: float = Field(
        2.5, ge=0.5, le=20.0, description="Stop pushing an answer once its tokens are this unlikely (nats)"
    )
    keep: float = Field(
        12.0, ge=0.0, le=1000.0, description="Weight of staying close to the original on given text to keep"
    )
    stand_ins: int = Field(
        3,
        ge=0,
        le=20,
        description="Altered copies of every kept question, with other names or words, for those not given",
    )
    near: int = Field(6, ge=0, le=20, description="Further such copies of every given neighbour")
    reworded: int = Field(
        0,
        ge=0,
        le=20,
        description="Copies of every open forget question with other words around its names: reach more wordings, cost neighbours",
    )
    marked: int = Field(
        0,
        ge=0,
        le=20,
        description="Copies of every given neighbour with words that mark the forget set: reach more wordings, cost other text",
    )
    groups: int = Field(
        1,
        ge=1,
        le=64,
        description="Parts of the forget set, by entity, each with directions of its own: harder to relearn, takes more steps",
    )
    spread: float = Field(
        1.0, ge=0.0, le=100.0, description="Weight of answering a forced choice without regard to what it asks"
    )
    lean: float = Field(
        3.0,
        ge=0.0,
        le=20.0,
        description="How much likelier one option becomes, always the same one (nats); 0 makes all equally likely",
    )
    steps: int = Field(
        90, ge=1, le=2000, description="Training steps; in the literal reading half of them in each layer"
    )
    rate: float = Field(0.03, gt=0, le=1.0, description="Learning rate")
    decay: float = Field(
        2.5, ge=0.0, le=50.0, description="How fast what no answer asks for fades from the change; 0 for not at all"
    )
    where: Literal["auto", "texts", "answers"] = Field(
        "auto",
        description="Find the directions of open questions in all of their text, or where their answers are given, which reaches "
        "more wordings and costs neighbours told apart by names; auto: there, if no names mark the forget set",
    )
    forget_at: float = Field(
        0.0,
        ge=0.0,
        le=1.0,
        description="Share of the change at which answers must be forgotten already, kept text weighing twice below 1: reaches "
        "other wordings, costs neighbours told apart by names. 0: 0.6 if no names mark the forget set, else 1. Ignored where the "
        "forget set has forced choices",
    )
    own_words: bool = Field(
        True,
        description="Ask from a third of the steps on whether the model still states by itself what must go, or no longer what "
        "neighbours are asked; then begin again with such statements too (not with groups)",
    )
    reading: Literal["soft", "literal"] = Field(
        "soft", description="Soft discrimination, or train, SVD, Gram-Schmidt, subtract"
    )
    subspace: Literal["discriminated", "hard", "identified", "random"] = Field(
        "discriminated",
        description="To take the method apart: hard projection instead, no discrimination, or any subspace of that rank",
    )
    energy: float = Field(
        0.99,
        gt=0.0,
        le=1.0,
        description="Hard projection and literal reading: share of kept text's or similar tasks' energy that is protected",
    )
    scale: float = Field(
        4.0, gt=0.0, le=20.0, description="Literal reading: how many times the task matrix is subtracted"
    )


def fit(context: Context, config: UnlearnConfig) -> Iterator[Any]:
    """Yield stages, losses, snapshots, spectra, overlaps and at the end the edit."""
    yield from (_fit_soft if config.reading == "soft" else _fit_literal)(context, config)


METHOD = Method(
    "unlearn",
    "UNLEARN",
    "Lizzo and Heck 2024, arXiv 2408.04140",
    "subspace",
    "Finds the subspace that the topic uses and others do not, and subtracts it.",
    "epsilon",
    UnlearnConfig,
    (
        ("statistics", "Collect what texts use"),
        ("identify", "Find and remove the subspace"),
        ("shrink", "Find the smallest edit"),
        ("describe", "Compare the spectra"),
    ),
    fit,
    cost="one training run on given text and altered copies of it; a second if the topic proves still told or neighbours lost",
)


def _fit_soft(context: Context, config: UnlearnConfig) -> Iterator[Any]:
    from ..events import Notice
    from ..spectra import describe
    from ..stand_ins import kept_copies, marked_copies, near_copies, own_names, proper_names
    from ..training import encode_rows

    loaded, given = context.loaded, context.given
    near, far, asked = (encode_rows(loaded, part) for part in (given.neighbor, given.retain, given.forget))
    plain = near + far
    yield Stage("statistics")
    kept_rows = plain + kept_copies(loaded, plain, asked, config.stand_ins, context.seed)
    kept_rows += near_copies(loaded, near, asked, config.near, context.seed)
    kept_rows += marked_copies(loaded, near, far, asked, config.marked, context.seed)
    original, kept = _originals(context, kept_rows, asked if config.groups > 1 else [], config)
    kept_prompts = [question.prompt for question in given.neighbor + given.retain]
    named = bool(own_names(asked, plain) or proper_names([question.prompt for question in given.forget], kept_prompts))
    where = config.where if config.where != "auto" else "texts" if named else "answers"
    forced = any(question.options for question in given.forget)
    if forced and 0 < config.forget_at < 1:
        yield Notice("forget_at was not used: the forget set has forced choices, which are brought to a mark and get no margin.")
    config = _with_margin(config, named, forced)
    if where == "answers":
        kept = _with_answers(context, kept, plain)
    if context.cancelled():
        return
    yield Stage("identify")
    scene = _Scene(context, config, asked, plain, kept_rows, original, kept, where, config.reworded)
    scene, whole = yield from (_in_groups if config.groups > 1 else _at_once)(scene)
    yield whole
    if context.cancelled():
        return
    yield Stage("shrink")
    edit = whole if config.groups > 1 else _smallest(scene, whole)  # groups are wide on purpose
    yield edit
    yield Stage("describe")
    tasks = _tasks(whole, scene.kept, config.epsilon) if config.subspace == "discriminated" else None
    yield from describe(loaded.model, edit, tasks, scene.kept)


@dataclass(frozen=True)
class _Scene:
    """What removal works on. `asked`: given forget questions; `plain`: given questions to keep; `kept_rows`: these with their
    stand-ins; `original`: the original's log-probabilities on `kept_rows` and behind them `asked`; `kept`: what `kept_rows` use;
    `where` open questions are read, "texts" or "answers"; `told`: statements that must go as well, and `reworded` copies of every
    open forget question; `stated`: how many of the kept rows are statements."""

    context: Context
    config: UnlearnConfig
    asked: list[Row]
    plain: list[Row]
    kept_rows: list[Row]
    original: Callable[[Sequence[int]], Tensor] | None
    kept: dict[str, Tensor]
    where: str
    reworded: int
    told: tuple[Row, ...] = ()
    stated: int = 0

    def moments(self, places: Sequence[int]) -> dict[str, Tensor]:
        """What the forget questions at these places use, and all that is told: in all of their text, or the open ones where they
        are answered."""
        from ..activations import second_moments

        rows, forget = [*(self.asked[place] for place in places), *self.told], self.context.given.forget
        starts = [0 if forget[place].options else self.asked[place].start - 1 for place in places]
        starts += [row.start - 1 for row in self.told]
        answered = starts if self.where == "answers" else None
        return second_moments(self.context.loaded, rows, self.context.cancelled, starts=answered)

    def with_told(self, rows: Sequence[Row]) -> _Scene:
        """The scene with statements that must go as well, no more than the given questions weigh: more is pushed there, so that
        fewer directions do, and more is kept."""
        rank, keep = max(1, round(TOLD_RANK * self.config.rank)), TOLD_KEEP * self.config.keep
        config = self.config.model_copy(update={"rank": rank, "keep": keep})
        most = GIVEN_TURNS * len(self.open())
        some = rows if len(rows) <= most else random.Random(self.context.seed).sample(rows, most)
        more = max(self.reworded, TOLD_REWORDED)
        return replace(self, config=config, told=tuple(some), reworded=more)

    def with_kept(self, rows: Sequence[Row]) -> _Scene:
        """The scene with statements that must stay as well. What neighbours are asked in the same words as the topic is told apart
        where answers are given only, so that open questions are read there; and more is trained, further and for longer."""
        from ..activations import second_moments
        from ..training import reference_logprobs

        context, config, original = self.context, self.config, self.original
        some = list(rows) if len(rows) <= LOST_STATEMENTS else random.Random(context.seed).sample(rows, LOST_STATEMENTS)
        kept = self.kept_with(some, second_moments(context.loaded, some, context.cancelled))
        if self.where != "answers":
            kept = _with_answers(context, kept, self.plain)
        if original is not None:
            original = _behind(original, len(self.kept_rows), reference_logprobs(context.loaded, some, context.cancelled))
        rank, steps = round(LOST_RANK * config.rank), round(LOST_STEPS * config.steps)
        more = {"rank": rank, "limit": LOST_LIMIT * config.limit, "steps": steps}
        return replace(
            self,
            config=config.model_copy(update=more),
            kept_rows=[*self.kept_rows, *some],
            original=original,
            kept=kept,
            where="answers",
            stated=len(some),
        )

    def notice(self, done: int) -> Notice:
        """Why training begins again after so many steps, and how."""
        from ..events import Notice

        config = self.config
        if self.told:
            return Notice(
                f"At step {done} the model, left to write freely, still told what it is to forget. Training began again with "
                f"{len(self.told):,} such statements of given facts, and with {self.reworded} reworded copies of every open "
                f"question, among what must go; at rank {config.rank}, and kept text at weight {config.keep:g}."
            )
        return Notice(
            f"At step {done} the model, left to write freely, no longer said of neighbours what the original says. Training began "
            f"again with {self.stated:,} such statements among what must stay, and with directions found where answers "
            f"are given; at rank {config.rank}, with a limit of {config.limit:g} nats, for {config.steps} steps."
        )

    def neighbors(self) -> tuple[list[Row], list[Row]]:
        """The given neighbours that are no forced choice, and all other given questions."""
        from ..training import encode_rows

        loaded, given = self.context.loaded, self.context.given
        near = [row for row in encode_rows(loaded, given.neighbor) if not row.options]
        return near, encode_rows(loaded, given.retain) + self.asked

    def open(self) -> list[Row]:
        """The forget questions that are no forced choice."""
        pairs = zip(self.asked, self.context.given.forget, strict=True)
        return [row for row, question in pairs if not question.options]

    def beside(self, part: Sequence[int]) -> tuple[list[Row], Callable[[Sequence[int]], Tensor] | None, dict[str, Tensor]]:
        """What a part of the forget set keeps: the kept rows and, as often as a kept question with its stand-ins, the other parts;
        with the original's log-probabilities and what these rows use."""
        others = [place for place in range(len(self.asked)) if place not in set(part)]
        if not others:
            return self.kept_rows, self.original, self.kept
        places = (1 + self.config.stand_ins) * others
        behind, original = len(self.kept_rows), self.original
        at = [*range(behind), *(behind + place for place in places)]
        rows = self.kept_rows + [self.asked[place] for place in places]
        kept = self.kept_with(rows[behind:], self.moments(others))
        return rows, original and (lambda chosen: original([at[place] for place in chosen])), kept

    def kept_with(self, rows: Sequence[Row], used: dict[str, Tensor]) -> dict[str, Tensor]:
        """What the kept rows use together with further ones, which use that. Maps that read the same share theirs."""
        further = sum(len(row.ids) for row in rows)
        share = further / max(1, further + sum(len(row.ids) for row in self.kept_rows))
        mixed = {id(moment): (1 - share) * moment + share * used[name].to(moment.device) for name, moment in self.kept.items()}
        return {name: mixed[id(moment)] for name, moment in self.kept.items()}

    def forget_rows(self, questions: Sequence[Question]) -> list[Row]:
        """What is to be trained away of these questions: themselves, and now and then what stands for others."""
        from ..training import encode_rows

        choices = encode_rows(self.context.loaded, questions, choices=True)
        return GIVEN_TURNS * choices + self.stand_ins(choices)

    def stand_ins(self, choices: list[Row]) -> list[Row]:
        """What stands for forget questions in other words than the given ones."""
        return [*self.told, *_forget_stand_ins(self.context, choices, self.plain, self.reworded)]


def _at_once(scene: _Scene) -> Iterator[Any]:
    """One set of directions for all of the forget set, found and trained again where the model still tells of it, or no longer of
    its neighbours. Returns the scene of the training that counts, and the edit."""
    from ..training import Tally

    own = scene.context.statistics(f"forget-{scene.where}", lambda: scene.moments(range(len(scene.asked))))
    first = _change(scene, own, scene.kept)
    again, done = yield from _until_told(scene, first, _training(scene, first))
    if again is None or scene.context.cancelled():
        return scene, first.edit()
    yield again.notice(done)
    moments = again.moments(range(len(again.asked)))
    if scene.context.cancelled():
        return scene, first.edit()
    second, last = _change(again, moments, again.kept), 0
    for item in Tally(done + again.config.steps, done).told(_training(again, second)):
        yield item
        last = item.step
    if scene.context.cancelled() and last < 2 * done:
        return scene, first.edit()  # stopped so soon that the first training had come further
    return again, second.edit()


def _training(scene: _Scene, change: Change) -> Iterator[Any]:
    forget, losses = scene.forget_rows(scene.context.given.forget), _Losses(scene.original, scene.config)
    plan = _plan(scene.config, scene.config.steps)
    plan = replace(plan, retain_rows=TOLD_RETAIN_ROWS) if scene.told else plan
    return _train(scene, change, plan, forget, scene.kept_rows, losses)


def _until_told(scene: _Scene, change: Change, training: Iterator[Any]) -> Iterator[Any]:
    """The training until, from a third of the steps on, the changed model knows more than a share TOLD of some statements that the
    original makes by itself of what must go, or has lost more than that of those about neighbours, and more than TOLD_ONCE. Returns
    the scene of another training and the steps done; None where there need not be one."""
    from ..events import Loss
    from ..own_words import OwnWords, count_known

    context, told = scene.context, None
    watched = scene.config.own_words and scene.config.subspace == "discriminated"
    for item in training:
        yield item
        if not watched or not isinstance(item, Loss) or item.step < CHECKED_FROM * item.total or item.step % CHECKED:
            continue
        if told is None:
            told = OwnWords(context.loaded, scene.open(), scene.plain, context.seed, context.cancelled)
            near = told.beside(*scene.neighbors())
        with change.active():
            known, kept = (count_known(context.loaded, words.few, context.cancelled) for words in (told, near))
        if known > max(TOLD_ONCE, TOLD * len(told.few)):
            return scene.with_told(told.statements()), item.step
        if len(near.few) - kept > max(TOLD_ONCE, TOLD * len(near.few)) and (stated := near.statements()):
            return scene.with_kept(stated), item.step
    return None, 0


def _in_groups(scene: _Scene) -> Iterator[Any]:
    """Directions of its own for each part, the other parts among what it keeps, then all of them together. Returns the scene and
    the edit."""
    from ..edits.low_rank import LowRankEdit
    from ..training import Change, Tally, parts_by_entity

    context, config, edits = scene.context, scene.config, []
    parts, half = parts_by_entity(context.given.forget, config.groups), max(1, config.steps // 2)
    plan, tally = _plan(config, half), Tally((len(parts) + 1) * half)
    for part in parts:
        if context.cancelled():
            break
        rows, original, kept = scene.beside(part)
        change = _change(scene, scene.moments(part), kept)
        forget = scene.forget_rows([context.given.forget[place] for place in part])
        yield from tally.told(_train(scene, change, plan, forget, rows, _Losses(original, config)), edits)
        edits.append(change.edit())
    change = Change.resumed(context.loaded.model, LowRankEdit.stack(edits))
    forget, losses = scene.forget_rows(context.given.forget), _Losses(scene.original, config)
    yield from tally.told(_train(scene, change, replace(plan, rate=config.rate / 3), forget, scene.kept_rows, losses))
    return scene, change.edit()


def _with_margin(config: UnlearnConfig, named: bool, forced: bool) -> UnlearnConfig:
    """The settings with `forget_at` between 0 and 1, and kept text weighed accordingly."""
    at = 1.0 if forced else config.forget_at or (1.0 if named else MARGIN)
    return config.model_copy(update={"forget_at": at, "keep": config.keep * (MARGIN_KEEP if at < 1 else 1)})


def _behind(
    first: Callable[[Sequence[int]], Tensor], count: int, second: Callable[[Sequence[int]], Tensor]
) -> Callable[[Sequence[int]], Tensor]:
    """Log-probabilities of rows of which `first` knows the first `count`, and `second` those behind them."""
    import torch

    return lambda places: torch.cat([first([at]) if at < count else second([at - count]) for at in places])


def _plan(config: UnlearnConfig, steps: int) -> Plan:
    from ..training import Plan

    return Plan(steps, config.rate, config.decay, FORGET_ROWS, RETAIN_ROWS)


def _change(scene: _Scene, own: dict[str, Tensor], kept: dict[str, Tensor]) -> Change:
    """A change with directions that `own` text uses and `kept` text does not. Maps that read the same share theirs."""
    from ..training import Change

    config, seed, device = scene.config, scene.context.seed, scene.context.loaded.device
    found = {}
    for name in kept:
        if id(kept[name]) not in found:
            found[id(kept[name])] = _directions(own[name].to(device), kept[name].to(device), config, seed)
    return Change(scene.context.loaded.model, directions={name: found[id(kept[name])] for name in kept}, seed=seed)


def _train(scene: _Scene, change: Change, plan: Plan, forget: list[Row], kept: list[Row], losses: _Losses) -> Iterator[Any]:
    from ..training import train

    at = scene.config.forget_at
    yield from train(scene.context, change, plan, forget, kept, losses.forget, losses.keep, forget_strength=at)


def _directions(own: Tensor, kept: Tensor, config: UnlearnConfig, seed: int) -> Tensor:
    """The rows of A for one map: forget text's directions after discrimination, or what the setting puts in their place."""
    from ..subspace.contrast import contrastive_directions, leading_directions, of_unit_moment, random_directions
    from ..subspace.null_space import null_space

    if config.subspace == "discriminated":
        return contrastive_directions(own, kept, config.epsilon, config.rank)[0]
    if config.subspace == "random":
        rows = random_directions(len(own), config.rank, seed).to(own)
    else:
        within = null_space(kept, config.energy) if config.subspace == "hard" else None
        rows = leading_directions(own, config.rank, within)
    return of_unit_moment(rows, own, kept, config.epsilon)


def _originals(
    context: Context, rows: list[Row], behind: list[Row], config: UnlearnConfig
) -> tuple[Callable[[Sequence[int]], Tensor] | None, dict[str, Tensor]]:
    """The original's log-probabilities on kept rows, if they are to be kept, and on those `behind` them; and what kept rows use,
    where it can be from the same passes."""
    from ..activations import InputMoments, second_moments
    from ..training import reference_logprobs

    moments, original = InputMoments(context.loaded.model), None
    on_second_pass = context.on_progress if not (config.keep and rows) else lambda done, total: None  # the rows are counted once
    if config.keep and rows:
        original = reference_logprobs(
            context.loaded, rows + behind, context.cancelled, on_progress=context.on_progress, along=None if behind else moments
        )
    kept = context.statistics(
        f"kept-{config.stand_ins}-{config.near}-{config.marked}-{context.seed}",
        lambda: moments.means()
        if moments.count
        else second_moments(context.loaded, rows, context.cancelled, on_progress=on_second_pass),
    )
    return original, kept


def _with_answers(context: Context, kept: dict[str, Tensor], plain: list[Row]) -> dict[str, Tensor]:
    """What kept text uses and what it uses where its answers are given: half of it in the measure in which the forget questions
    are open."""
    from ..activations import second_moments
    from ..subspace.contrast import mixed

    forget, loaded = context.given.forget, context.loaded
    share = ANSWERED * sum(not question.options for question in forget) / max(1, len(forget))
    if not share or loaded.reads_apart:
        return kept
    starts = [row.start - 1 for row in plain]
    there = context.statistics("kept-answers", lambda: second_moments(loaded, plain, context.cancelled, starts=starts))
    found = {id(moment): mixed(moment, there[name].to(moment.device), share) for name, moment in kept.items()}
    return {name: found[id(moment)] for name, moment in kept.items()}


def _forget_stand_ins(context: Context, forget: list[Row], kept: list[Row], copies: int) -> list[Row]:
    """Copies of forced choices with anything else in them, and of open questions with any words around their names."""
    from ..stand_ins import foreign_tokens, names_of, prompt_tokens, scrambled, template_marks

    forced, asked = [row for row in forget if row.options], [row for row in forget if not row.options]
    marks, vocabulary = template_marks(kept + forget), foreign_tokens(context.loaded, [], [])
    words, names = prompt_tokens(kept) or vocabulary, marks | names_of(asked, kept)
    rows: list[Row] = []
    for turn in range(CHOICE_COPIES):
        rows += scrambled(forced, CHOICE_SHARE, words, marks, 1000 * context.seed + turn)
    for turn in range(copies):
        rows += scrambled(asked, REWORDED * (turn + 1) / copies, vocabulary, names, 1000 * context.seed + turn)
    return rows


class _Losses:
    """Both losses of the soft reading. The weight of keeping grows as forgetting nears its goal: forget first, then repair."""

    def __init__(self, original: Callable[[Sequence[int]], Tensor] | None, config: UnlearnConfig) -> None:
        self._config, self._original = config, original
        self._left = 0.0  # what the last forget loss was, in nats
        self.keep = self._keep if original else None

    def forget(self, scored: Scored, places: Sequence[int] = ()) -> Tensor:
        """Unlikelihood of open answers; on forced choices the same spread whatever is asked."""
        from ..objectives import option_spread, unlikelihood
        from ..training import forced_choices, open_part

        total = scored.nothing()
        scores, groups = forced_choices(scored)
        if len(scores):
            total = total + self._config.spread * option_spread(scores, groups, self._config.lean)
        answers = open_part(scored)
        if answers.count:
            limit = self._config.limit
            total = total + unlikelihood(answers.logits, answers.labels, answers.rows, answers.count, limit)
        self._left = float(total.detach())
        return total

    def _keep(self, scored: Scored, places: Sequence[int]) -> Tensor:
        """KL from the original on the answers of kept text and its stand-ins."""
        from ..objectives import kl_to

        return self._config.keep / (1 + self._left) * kl_to(self._original(places), scored.logits)


def _tasks(edit: LowRankEdit, kept: dict[str, Tensor], epsilon: float) -> LowRankEdit:
    """What would be subtracted had nothing been discriminated: the same outputs on the directions before damping."""
    from ..edits.low_rank import LowRankEdit
    from ..subspace.contrast import undamped

    return LowRankEdit({
        name: (-left, undamped(right, kept[name].to(right.device), epsilon)) for name, (left, right) in edit.factors.items()
    })


def _smallest(scene: _Scene, whole: LowRankEdit) -> LowRankEdit:
    """The edit at the smallest rank that keeps its result on given items, and on some of these and of the copies that stand for
    others among the forgotten: forgotten stays forgotten, kept stays kept."""
    from ..subspace.shrink import smallest
    from ..training import encode_rows, greedy_share, loss_of, some_rows

    context, kept, forget_loss = scene.context, scene.plain, _Losses(None, scene.config).forget
    choices = encode_rows(context.loaded, context.given.forget, choices=True)
    forget = some_rows(choices + scene.stand_ins(choices), SHRINK_ROWS, context.seed)
    at = scene.config.forget_at
    target, share = loss_of(context, whole.scaled(at), forget, forget_loss), greedy_share(context, whole, kept)

    def keeps(rank: int) -> bool:
        candidate = whole.truncated(rank)
        return (
            loss_of(context, candidate.scaled(at), forget, forget_loss) <= target + FORGET_SLACK
            and greedy_share(context, candidate, kept) >= share - KEPT_SLACK
        )

    rank = smallest(keeps, whole.rank)
    return whole if rank == whole.rank else whole.truncated(rank)


def _fit_literal(context: Context, config: UnlearnConfig) -> Iterator[Any]:
    from ..edits.low_rank import LowRankEdit
    from ..spectra import describe, input_basis
    from ..subspace.discrimination import gram_schmidt
    from ..training import encode_rows

    given = context.given
    yield Stage("statistics")
    similar = yield from _task_matrices(
        context, config, encode_rows(context.loaded, given.neighbor + given.retain), shown=False
    )
    yield Stage("identify")
    task = yield from _task_matrices(context, config, encode_rows(context.loaded, given.forget), shown=True)
    if context.cancelled():
        yield LowRankEdit.from_deltas({name: -config.scale * matrix for name, matrix in task.items()})
        return
    yield Stage("shrink")
    removed = {}
    for name, matrix in task.items():
        own = gram_schmidt(input_basis(matrix, config.energy), input_basis(similar[name], config.energy))
        removed[name] = -config.scale * (matrix @ own) @ own.T
    edit = LowRankEdit.from_deltas(removed, energy=0.999)
    yield edit
    yield Stage("describe")
    whole = LowRankEdit.whole({name: config.scale * matrix for name, matrix in task.items()})
    yield from describe(context.loaded.model, edit, whole)


def _task_matrices(context: Context, config: UnlearnConfig, rows: list[Row], shown: bool) -> Iterator[Any]:
    """Train T layer by layer, first to last, on top of the frozen weights; returns name -> T (out, in)."""
    from ..events import Loss
    from ..objectives import answer_nll
    from ..training import Change, Plan, train

    change = Change.whole(context.loaded.model, context.seed)
    layers = change.layers()
    plan = Plan(max(1, config.steps // 2), config.rate / 18)
    for turn, names in enumerate(layers.values() if rows else ()):
        change.train_only(names)
        for item in train(
            context,
            change,
            plan,
            rows,
            [],
            lambda part, places: answer_nll(part.logits, part.labels, part.rows, part.count),
            None,
        ):
            if shown and isinstance(item, Loss):
                yield Loss(turn * plan.steps + item.step, len(layers) * plan.steps, item.forget, None)
    return {name: delta.detach() for name, delta in change.deltas().items()}
