"""Who asks to be forgotten, in which order, what each request may keep, and where two contradict. Pure: knows topics only."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile

from ..config import FORGET_SPLITS, KEEP_SPLITS
from ..errors import BadInput
from ..methods import find_method
from ..topics.topic import Question, Topic
from ..topics.uploads import slug

STACK, FUSE, APART, JOINT = MODES = ("stack", "fuse", "apart", "joint")
MOST = 8  # requests in a sequence
SHOWN = 3  # examples of a contradiction


@dataclass(frozen=True, slots=True)
class Request:
    """One request: all of a topic, or what it says of one `subject` (then the topic's other subjects are neighbours).

    `forget` holds its questions of all forget splits.
    """

    title: str
    topic: Topic
    forget: tuple[Question, ...]
    subject: str = ""

    @property
    def name(self) -> str:
        """As a topic's name is written."""
        return f"{self.topic.name}-{slug(self.subject)}" if self.subject else self.topic.name

    @property
    def kept(self) -> list[Question]:
        """What its topic keeps, given or held."""
        return [question for question in self.topic.questions if question.split in KEEP_SPLITS]

    @property
    def prompts(self) -> set[str]:
        """What is asked about what it forgets."""
        return {asked(question) for question in self.forget}


@dataclass(frozen=True, slots=True)
class Conflict:
    """Request `forgets` forgets what request `keeps` keeps (both count from 1). `kind`: the same "question", or another
    question of the same "entity". `n` questions, some of them as `examples`; `words` say what is done about it."""

    forgets: int
    keeps: int
    kind: str
    n: int
    examples: tuple[str, ...]
    words: str


@dataclass(frozen=True, slots=True)
class Plan:
    """A sequence before it begins."""

    requests: tuple[Request, ...]
    mode: str
    conflicts: tuple[Conflict, ...] = ()

    def name(self, method: str) -> str:
        """What its folder is called, behind the date."""
        return f"{self.requests[0].topic.name}-{method}-{self.mode}"


def planned(requests: Sequence[Request], mode: str, method: str) -> Plan:
    """The plan with its contradictions. Raises BadInput where mode, method and requests do not go together."""
    unable = unable_modes(method)
    if mode in unable:
        raise unable[mode]
    if not 1 <= len(requests) <= MOST:
        raise BadInput(f"A sequence cannot have {len(requests)} requests.", f"It has from 1 to {MOST}.", "", field="requests")
    return Plan(tuple(requests), mode, tuple(conflicts(requests, mode)))


def unable_modes(method: str) -> dict[str, BadInput]:
    """Why a method's edits cannot come together so, by mode; {} where all modes go with it."""
    found = {}
    if find_method(method).family != "layers":
        found[FUSE] = BadInput(f"The method '{method}' cannot be fused.", "Only added layers have a closed form for it.",
                               f"Take --method eul, or --mode {STACK}.", field="mode")  # fmt: skip
    if method != "unlearn":
        found[APART] = BadInput(f"The method '{method}' cannot keep edits apart.", "It looks for no subspace to keep off.",
                                f"Take --method unlearn, or --mode {STACK}.", field="mode")  # fmt: skip
    return found


# --- who asks ---------------------------------------------------------------------------------------------------------

def asked(question: Question) -> str:
    """What makes two questions the same one."""
    return " ".join(question.prompt.casefold().split())


def subject(question: Question) -> str:
    """Whom a question is about: its entity, with the capitalised words straight before it, so that an entity that is a
    family's name gives its members. The first word of a sentence says nothing. "" without an entity."""
    before, found, _ = question.prompt.partition(question.entity) if question.entity else ("", "", "")
    words = before.split() if found and before.endswith(" ") else []
    inside = [word if last[-1].isalnum() else "" for last, word in zip([".", *words], words, strict=False)]
    own = list(takewhile(lambda word: word[:1].isupper() and word[-1].isalnum(), reversed(inside)))
    return " ".join([*reversed(own), question.entity])


def entities_of(topic: Topic) -> dict[str, list[Question]]:
    """Whom a topic could forget one by one, in its order, with the questions about each."""
    found: dict[str, list[Question]] = {}
    for question in topic.questions:
        if question.split in FORGET_SPLITS:
            found.setdefault(subject(question), []).append(question)
    return {name: questions for name, questions in found.items()
            if name and any(question.given and question.split == "forget" for question in questions)}  # fmt: skip


def single_requests(topic: Topic, count: int | None = None) -> list[Request]:
    """A request for each of the first `count` subjects of a topic, in its order. Raises BadInput."""
    found = entities_of(topic)
    named = list(found)
    wanted = min(MOST, len(named)) if count is None else count
    if len(named) < 2:
        raise BadInput(f"The topic '{topic.name}' cannot be split by entity.", "Its questions name fewer than two.",
                       "Leave --split-by-entity out and name several --topics.", field="topic")  # fmt: skip
    if not 1 <= wanted <= min(MOST, len(named)):
        raise BadInput(f"There cannot be {wanted} requests.", f"The topic '{topic.name}' allows from 1 to "
                       f"{min(MOST, len(named))}.", "Leave it out for the most.", field="requests")  # fmt: skip
    return [Request(name, topic, tuple(found[name]), name) for name in named[:wanted]]


def topic_requests(topics: Sequence[Topic]) -> list[Request]:
    """A request for each topic. Raises BadInput for one that is named twice."""
    names = [topic.name for topic in topics]
    for name in names:
        if names.count(name) > 1:
            raise BadInput(f"The topic '{name}' is named twice.", "", "Name each once.", field="topics")
    return [Request(topic.title, topic, tuple(q for q in topic.questions if q.split in FORGET_SPLITS)) for topic in topics]


# --- contradictions ---------------------------------------------------------------------------------------------------

def conflicts(requests: Sequence[Request], mode: str = STACK) -> Iterator[Conflict]:
    """Where one request forgets what another one's topic keeps."""
    for first, one in enumerate(requests, start=1):
        entities = {question.entity for question in one.forget} - {""}
        for second, other in enumerate(requests, start=1):
            if first == second:
                continue
            same = [question for question in other.kept if asked(question) in one.prompts]
            near = [question for question in other.kept if question.entity in entities and asked(question) not in one.prompts]
            for kind, found in (("question", same), ("entity", near)):
                if found:
                    titles = one.title, other.title
                    words = _entity_words if kind == "entity" else _question_words
                    said = words(first, second, titles, len(found), mode)
                    yield Conflict(first, second, kind, len(found), tuple(each.prompt for each in found[:SHOWN]), said)


def _entity_words(first: int, second: int, titles: tuple[str, str], n: int, mode: str) -> str:
    return (f"Request {first} ({titles[0]}) forgets what request {second} ({titles[1]}) keeps other questions about: "
            f"{n} of these stay among what is kept.")  # fmt: skip


def _question_words(first: int, second: int, titles: tuple[str, str], n: int, mode: str) -> str:
    if mode == JOINT:
        done = "they are forgotten"
    elif first < second:
        done = "the earlier request stands, and the later one is not given them to keep"
    elif mode == STACK:
        done = "the later request stands"
    else:
        done = "the earlier edit holds them and the later one removes them"
    return (f"Request {first} ({titles[0]}) forgets {n} questions that request {second} ({titles[1]}) keeps: {done}. They "
            "count in no average of what is kept and have a line of their own.")  # fmt: skip


def contested(requests: Sequence[Request]) -> set[str]:
    """The questions that one request forgets and another keeps."""
    kept = [{asked(question) for question in request.kept} for request in requests]
    return {prompt for place, request in enumerate(requests) for other, prompts in enumerate(kept) if other != place
            for prompt in request.prompts & prompts}  # fmt: skip


# --- the topic of each run --------------------------------------------------------------------------------------------

def step_topic(plan: Plan, place: int) -> Topic:
    """What the run of request `place` (from 0) gets: its topic without what earlier requests forget among what is kept.

    One subject's neighbours are the topic's and the other subjects that were not forgotten by then, half of them given
    and half held. In the mode *apart* the earlier requests' given forget questions are given as text to keep, not scored.
    """
    request, earlier = plan.requests[place], plan.requests[:place]
    gone = {prompt for one in earlier for prompt in one.prompts}
    kept = [question for question in request.kept if asked(question) not in gone]
    if plan.mode == APART:
        kept += _left_alone(earlier, {asked(question) for question in kept})
    if not request.subject:
        return replace(request.topic, questions=(*request.forget, *kept))
    subjects = {one.subject for one in plan.requests[: place + 1] if one.topic is request.topic}
    return replace(request.topic, name=request.name, title=request.title, summary=f"What is known of {request.title}.",
                   questions=(*request.forget, *others(request.topic, subjects), *kept),
                   examples=tuple(q.prompt for q in request.forget if q.split == "forget" and q.scored)[:3])  # fmt: skip


def others(topic: Topic, forgotten: Collection[str]) -> list[Question]:
    """The trained questions of a topic's other subjects as neighbours: every second subject given, the next one held."""
    questions = [question for question in topic.questions if question.split == "forget"]
    halves = {name: place % 2 == 0 for place, name in enumerate(sorted({subject(question) for question in questions}))}
    found = []
    for question in questions:
        name = subject(question)
        if name not in forgotten and (question.given if halves[name] else question.scored):
            part = "given" if halves[name] else "held"
            found.append(replace(question, id=f"other-{question.id}", split="neighbor", part=part))
    return found


def _left_alone(earlier: Sequence[Request], taken: Collection[str]) -> Iterable[Question]:
    for place, request in enumerate(earlier):
        for question in request.forget:
            if question.split == "forget" and question.given and asked(question) not in taken:
                yield replace(question, id=f"earlier-{place}-{question.id}", split="retain", part="given")


def joint_topic(plan: Plan) -> Topic:
    """All requests as one topic. What one forgets and another keeps is forgotten; floors are those that all agree on."""
    first, gone = plan.requests[0].topic, {prompt for request in plan.requests for prompt in request.prompts}
    several = len({request.topic.name for request in plan.requests}) > 1
    forget, kept = [], {}
    for request in plan.requests:
        mark = f"{request.topic.name}/" if several else ""
        forget += [replace(question, id=mark + question.id) for question in request.forget]
        for question in request.kept:
            if asked(question) not in gone:
                kept.setdefault((question.split, asked(question)), replace(question, id=mark + question.id))
    subjects = {request.subject for request in plan.requests}
    spared = [] if "" in subjects else others(first, subjects)
    name = f"{len(plan.requests)}-requests-{first.name}" if not several else "-and-".join(
        dict.fromkeys(request.topic.name for request in plan.requests))
    floors = {split: kind for split, kind in first.floors.items()
              if all(request.topic.floors.get(split) == kind for request in plan.requests)}  # fmt: skip
    return replace(first, name=name, title=_listed([request.title for request in plan.requests]), floors=floors,
                   summary=f"{len(plan.requests)} requests at once.", questions=(*forget, *spared, *kept.values()),
                   examples=tuple(request.forget[0].prompt for request in plan.requests[:3]))  # fmt: skip


def _listed(titles: Sequence[str]) -> str:
    """"A, B and C", or "A, B and 6 more" where there are many."""
    shown = list(titles) if len(titles) < 4 else [*titles[:2], f"{len(titles) - 2} more"]
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"
