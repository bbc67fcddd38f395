"""Every term of the page explained in a sentence, and the mark that opens the explanation. Pure; knows no run."""

from __future__ import annotations

from html import escape

TERMS: dict[str, str] = {
    "forget": "Questions about the topic that is to be forgotten. Lower is better, down to what a model that never saw "
              "the topic scores. An answer counts as known if the expected words appear anywhere in it.",
    "neighbor": "Questions about the nearest thing that must be kept: same kind of fact, another subject. None of them "
                "was shown to the method.",
    "retain": "Questions about everything else that the model knew, none of them shown to the method. An answer must "
              "equal the expected one. Higher is better.",
    "general": "Real facts that the original was trained on, but that no method sees in any way.",
    "leak": "The forgotten facts asked in wordings that the method never saw, and in Spanish. If these stay high, the "
            "model only learnt not to answer one wording.",
    "forget_choice": "The right option must score above every other offered option; guessing gives the chance level.",
    "perplexity": "How surprised the model is by ordinary sentences that neither training nor the method saw; the "
                  "lower, the better. A rise means damage to language itself. Where a context stands before questions there is "
                  "none: sentences are read without it.",
    "interval": "95 % Wilson interval: where the true share lies, given that only n questions were asked.",
    "paired": "95 % interval of the difference, from the same questions asked before and after.",
    "reference": "What a model scores on these very questions that was trained on the same text, but never saw the topic.",
    "chance": "What guessing among the options scores. A model that forgot a task should do no better, and no worse.",
    "answered": "Share of free answers that are one of the options at all.",
    "removed": "Share of the knowledge above the floor that is gone: (before − after) / (before − floor), 1 at most; what cannot "
               "be told from chance counts as chance.",
    "damage": "How far the model's answers on given text to keep have moved from the original's: KL divergence, mean over "
              "answer tokens, in nats.",
    "trained": "How many values the method's largest training changes: of a low-rank change its factors, without what is fixed in "
               "them; of retraining the whole model. 0 where nothing is trained.",
    "relabelled": "The answers are wrong more often than guessing would be, or give the right option away: the "
                  "knowledge is still there, turned round.",
    "heat": "The expected answer is fed to both models word by word. Orange: less likely after unlearning; blue: more "
            "likely. It is faithful even where the two answers share no words.",
    "strength": "How much of the change is applied: 0 is the original, 1 what was measured, 2 twice the change.",
    "spectrum": "Singular values of one weight matrix: how strongly it acts in each of its directions.",
    "task": "The task matrix: what the change would be if it read the topic's inputs as they are, before discrimination turns it "
            "away from what retained text uses.",
    "kept": "The part of the task matrix that discrimination left in place, because retained text uses it too.",
    "rank": "The number of independent directions in a change of weights.",
    "energy": "Share of the squared size of a matrix that some of its directions carry.",
    "relative_change": "Size of the change over the size of the weights (Frobenius norms).",
    "angles": "Cosines of the principal angles between the input directions used by forget text and by retain text: "
              "1 is a shared direction, 0 an independent one.",
    "overlap": "Mean squared cosine of the principal angles: 0 is independent, 1 is the same space.",
    "logprob": "How likely the model finds the expected answer, in nats; 2.3 nats less is ten times less likely.",
    "delta": "Log-probability of the expected answer, unlearned minus original, in nats: −2.3 is ten times less likely than "
             "before, 0 as likely, above 0 likelier.",
    "outcome": "forgotten: known before, not now; leaked: still known; kept: still known, as it should be; damaged: "
               "known before, lost by accident; unchanged: as right or wrong as before.",
    "curve": "Right answers on a fixed sample of questions, asked again and again while the method works. Across: optimiser steps, "
             "that is how often the method has changed the weights so far.",
    "live_sample": "A fixed sample of questions, asked again and again while the method works.",
    "recovered": "Share of the lost knowledge that an attack brings back: (unlearned − floor) / (original − floor). 0: no more "
                 "comes out than of a model that never saw the topic, 1: as much as of the original. The line is its "
                 "95\u00a0% interval.",
    "tpr": "Share of the forget texts that the attack finds while it takes at most 1 % of the texts never seen for seen; guessing "
           "finds 1 %. It tells of single texts that are recognised for certain, which an average hides.",
    "same_attack": "What the same attack gets out of a model that was trained on the same text, but never saw the topic: that is "
                   "the floor.",
}


def info(term: str) -> str:
    """A small round mark, reachable by keyboard, that shows the sentence. An unknown term gives nothing."""
    return about(TERMS[term]) if term in TERMS else ""


def about(text: str) -> str:
    """The same mark with any sentence (plain text)."""
    return _opener('<span class="lt-info-mark" aria-hidden="true">i</span>', text, "lt-info")


def remarked(words: str, text: str) -> str:
    """`words` (plain text) with a dotted underline that shows any sentence."""
    return _opener(escape(words), text, "lt-info lt-term")


def explained(words: str, term: str) -> str:
    """`words` (plain text) with a dotted underline that shows the sentence; an unknown term gives the words alone."""
    return remarked(words, TERMS[term]) if term in TERMS else escape(words)


def _opener(inner: str, text: str, classes: str) -> str:
    safe = escape(text, quote=True)
    return (f'<span class="{classes}" tabindex="0" role="note" aria-label="{safe}">{inner}'
            f'<span class="lt-info-text" aria-hidden="true">{safe}</span></span>')
