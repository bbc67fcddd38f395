"""UNLEARN (Lizzo and Heck, arXiv 2408.04140): find the task's subspace, keep off what similar tasks use, subtract the rest.

Three stages: identification, discrimination, removal (section 3). The paper's exact formulas are not public, so both
readings are ours.

*Soft* (default). Let G be the second-moment matrix of a linear map's inputs over given text to keep and G_f the same over
the forget set, both normalised by their mean diagonal. Identification and discrimination are one generalised eigenproblem,
G_f v = s (G + εI) v: its leading v are forget text's own directions damped by (G + εI)⁻¹, which as ε → 0 is the Gram-Schmidt
step against everything kept text uses. The change is ΔW = U·A with these few directions as rows of A; only U is trained, until
every given forget answer is unlikely (or every forced choice answered without regard to what it asks) while given kept
answers stay as they were. Few directions and stand-ins (stand_ins.py) are the point: without copies of kept questions with
other names and words in them a change fits exceptions for the given items and harms kept items that were not given. Copies of
forget questions with other words around their names (`reworded`) reach further wordings and harm neighbours; so do copies of
neighbours with the word that marks the forget set (`marked`), which take that word out of the subspace. By default there are
none of either.

*Literal*. Layer by layer, a task matrix T is trained from zero on top of the frozen weights to lower the task's loss; the
same for the similar tasks; the right singular vectors of T are made orthogonal to theirs (Gram-Schmidt) and W ← W − λT'.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from .base import Context, Method, MethodConfig, Stage

if TYPE_CHECKING:
    from torch import Tensor

    from ..edits.low_rank import LowRankEdit
    from ..training import Row, Scored

FORGET_ROWS, RETAIN_ROWS = 12, 36  # a step: many steps on few forget rows cost neighbours less than few steps on many
GIVEN_TURNS = 3  # how often a given forget question is drawn for each of its copies
REWORDED = 0.5  # share of tokens exchanged in the last copy of a forget question, in the others evenly less
CHOICE_COPIES, CHOICE_SHARE = 3, 0.5  # scrambled copies of forced choices, which stand for those not given
FORGET_SLACK = 0.02  # forget loss that a smaller rank may cost
KEPT_SLACK = 0.005  # share of given kept answers that a smaller rank may cost


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
        4,
        ge=0,
        le=20,
        description="Altered copies of every kept question, with other names or words, for those not given; 0 for none",
    )
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
    spread: float = Field(
        1.0, ge=0.0, le=100.0, description="Weight of answering a forced choice without regard to what it asks"
    )
    lean: float = Field(
        2.0,
        ge=0.0,
        le=20.0,
        description="How much likelier one option becomes, always the same one (nats); 0 makes all equally likely",
    )
    steps: int = Field(
        80, ge=1, le=2000, description="Training steps; in the literal reading half of them in each layer"
    )
    rate: float = Field(0.03, gt=0, le=1.0, description="Learning rate")
    decay: float = Field(
        2.5, ge=0.0, le=50.0, description="How fast what no answer asks for fades from the change; 0 for not at all"
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
    cost="one training run on given text and its stand-ins",
)


def _fit_soft(context: Context, config: UnlearnConfig) -> Iterator[Any]:
    from ..activations import second_moments
    from ..spectra import describe
    from ..stand_ins import kept_copies, marked_copies
    from ..training import Change, Plan, encode_rows, train

    loaded, given = context.loaded, context.given
    near, far, asked = (encode_rows(loaded, part) for part in (given.neighbor, given.retain, given.forget))
    plain = near + far
    yield Stage("statistics")
    kept_rows = plain + kept_copies(loaded, plain, asked, config.stand_ins, context.seed)
    kept_rows += marked_copies(loaded, near, far, asked, config.marked, context.seed)
    original, kept = _originals(context, kept_rows, config)
    own = context.statistics("forget", lambda: second_moments(loaded, asked, context.cancelled))
    if context.cancelled():
        return
    yield Stage("identify")
    found = {id(kept[name]): _directions(own[name], kept[name], config, context.seed) for name in kept}
    change = Change(loaded.model, directions={name: found[id(kept[name])] for name in kept}, seed=context.seed)
    choices = encode_rows(loaded, given.forget, choices=True)
    copies = _forget_stand_ins(context, choices, plain, config.reworded)
    losses = _Losses(original, config)
    yield from train(
        context,
        change,
        Plan(config.steps, config.rate, config.decay, FORGET_ROWS, RETAIN_ROWS),
        GIVEN_TURNS * choices + copies,
        kept_rows,
        losses.forget,
        losses.keep,
    )
    whole = change.edit()
    yield whole
    if context.cancelled():
        return
    yield Stage("shrink")
    edit = _smallest(context, whole, choices + copies, plain, losses.forget)
    yield edit
    yield Stage("describe")
    tasks = _tasks(whole, kept, config.epsilon) if config.subspace == "discriminated" else None
    yield from describe(loaded.model, edit, tasks, kept)


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
    context: Context, rows: list[Row], config: UnlearnConfig
) -> tuple[Callable[[Sequence[int]], Tensor] | None, dict[str, Tensor]]:
    """The original's log-probabilities on kept rows, if they are to be kept, and what the rows use, from the same passes."""
    from ..activations import InputMoments, second_moments
    from ..training import reference_logprobs

    moments, original = InputMoments(context.loaded.model), None
    if config.keep and rows:
        with moments:
            original = reference_logprobs(context.loaded, rows, context.cancelled)
    kept = context.statistics(
        f"kept-{config.stand_ins}-{config.marked}-{context.seed}",
        lambda: moments.means()
        if moments.count
        else second_moments(context.loaded, rows, context.cancelled),
    )
    return original, kept


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

        total = scored.logits.sum() * 0
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


def _tasks(edit: LowRankEdit, kept: dict[str, Tensor], epsilon: float) -> dict[str, Tensor]:
    """What would be subtracted had nothing been discriminated: the same outputs on the directions before damping."""
    from ..subspace.contrast import undamped

    return {name: -(left @ undamped(right, kept[name], epsilon)) for name, (left, right) in edit.factors.items()}


def _smallest(
    context: Context, whole: LowRankEdit, forget: list[Row], kept: list[Row], forget_loss: Callable
) -> LowRankEdit:
    """The edit at the smallest rank that keeps its result on given items, with the copies that stand for others among the
    forgotten: forgotten stays forgotten, kept stays kept."""
    from ..subspace.shrink import smallest
    from ..training import greedy_share, loss_of

    target, share = loss_of(context, whole, forget, forget_loss), greedy_share(context, whole, kept)

    def keeps(rank: int) -> bool:
        candidate = whole.truncated(rank)
        return (
            loss_of(context, candidate, forget, forget_loss) <= target + FORGET_SLACK
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
    yield from describe(context.loaded.model, edit, {name: config.scale * matrix for name, matrix in task.items()})


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
