"""What every metric of a suite says of itself."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Question:
    """One judgment to be made about a row.

    Attributes:
        order: which answer is shown first, in a comparison.
        texts: what the judge reads, by tag; a name is a column of the judged model's row, or "baseline".
        verdicts: what each answer of the judge says about the judged model.
    """

    order: str | None
    texts: dict[str, str]
    verdicts: dict[str, str]


@dataclass(frozen=True)
class Metric:
    """A kind of judgment.

    Attributes:
        prompt: which of a judge's prompts asks for it, a key of `judges` in the config.
        field: of the judge's JSON answer.
        questions: asked about each row.
        labelled: whether the suite brings answers along that people have labelled, so that no model is asked.
    """

    prompt: str
    field: str
    questions: tuple[Question, ...]
    labelled: bool = False

    @property
    def compares(self) -> bool:
        """Whether it sets a model against a baseline."""
        return any("baseline" in question.texts.values() for question in self.questions)
