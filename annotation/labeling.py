"""The labelling page: dimensions in, Label Studio's XML out, and back.

Every dimension is one required Pass/Fail choice with two hotkeys; who cannot judge a clip skips it.
The project's source UUID stands in the configuration as a comment, so that a project is recognised
under any URL.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET  # entity bombs and external entities: see _root
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from string import Template
from xml.sax.saxutils import escape, quoteattr

from warehouse.errors import AnnotationError

CHOICES = ("Pass", "Fail")
HOTKEYS = "1234567890qwertyuiop"  # two a dimension, in reading order
OBJECT = "video"  # name of the video tag that every answer is about

ADVICE = (
    "Watch the whole clip, then answer every question. Pass is yes, Fail is no; when torn, decide"
    " for what most people would say. Skip a clip only if you cannot judge it: it does not play, or"
    " nothing can be made out in it."
)

_NAME = re.compile(r"[a-z][a-z0-9_]*")
_KEY = re.compile(r"[0-9a-z]")
_SOURCE = re.compile(r"soli-source: ([0-9a-fA-F-]{36})")


@dataclass(frozen=True)
class Dimension:
    """One quality that annotators judge."""

    name: str
    """Name in all tables: lower-case letters, digits and underscores."""
    question: str
    """What the annotator is asked; Pass means yes."""
    guidelines: tuple[str, ...]
    """What to look at, one sentence each, shown below the question."""
    examples: tuple[str, ...] = ()
    """Of what fails, shown with the guidelines in the project's instructions."""
    hotkeys: tuple[str, ...] = ()
    """Keys for Pass and for Fail; empty: the next two of HOTKEYS that nobody has."""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise AnnotationError(
                f"dimension name {self.name!r} is not usable; take lower-case letters, digits and _"
            )
        if not self.question.strip():
            raise AnnotationError(f"dimension {self.name}: the question is empty; write one")
        if not any(line.strip() for line in self.guidelines):
            raise AnnotationError(
                f"dimension {self.name}: no guidelines; write a sentence or more on what to look at"
            )
        if self.hotkeys and not (
            len(self.hotkeys) == len(CHOICES) and all(map(_KEY.fullmatch, self.hotkeys))
        ):
            raise AnnotationError(
                f"dimension {self.name}: hotkeys are {list(self.hotkeys)}; give one for Pass and"
                " one for Fail, each a digit or a lower-case letter"
            )


# What to look at follows Table 15 of the SoliReward paper, in our words.
DEFAULT_DIMENSIONS = (
    Dimension(
        "physical_plausibility",
        "Does everything move as it would in the real world?",
        (
            "Movement: speed, speeding up and slowing down look natural; nothing jumps.",
            "Contact: things fall, bounce, collide and splash as gravity and touch demand.",
            "Material: water, smoke, cloth and soft bodies flow and bend believably.",
        ),
        ("a ball jumps from one place to another, stops in mid-air, or falls upwards",),
    ),
    Dimension(
        "subject_deformity",
        "Does every subject keep a sound shape?",
        (
            "Build: no bent, doubled, missing or impossible parts, above all faces and limbs.",
            "Over time: nothing melts, flickers, splits or turns into something else.",
        ),
        ("a hand has six fingers, a face melts, a thing flickers or splits in two",),
    ),
    Dimension(
        "semantic_alignment",
        "Does the clip show what the prompt asks for?",
        (
            "Core: the right subject does the right thing in the right place.",
            "Details: colours, looks, manner of movement and background agree.",
            "Style: art style and camera instructions are kept, where the prompt gives any.",
        ),
        ("the prompt says red and the ball is blue, or it rolls where it should bounce",),
    ),
)


def labeling_config(dimensions: Sequence[Dimension], source: str) -> str:
    """Label Studio's XML for these dimensions.

    source: the project's UUID; stored as a comment, read back by `config_source`.
    Raises: AnnotationError for no dimension, a name or hotkey given twice, or more dimensions than
        the hotkeys carry.
    """
    names = [dimension.name for dimension in dimensions]
    most = len(HOTKEYS) // len(CHOICES)
    if not 1 <= len(names) <= most or len(set(names)) < len(names):
        raise AnnotationError(f"dimensions {names}: give 1 to {most} with different names")
    template = Template(files("annotation").joinpath("labeling.xml").read_text(encoding="utf-8"))
    blocks = list(map(_block, dimensions, hotkeys(dimensions)))
    config = template.substitute(source=escape(source), dimensions="\n".join(blocks))
    return config.strip()  # as the server stores it: the same digest before and after


def hotkeys(dimensions: Sequence[Dimension]) -> list[tuple[str, ...]]:
    """Keys for Pass and Fail of each dimension: its own, else the next two that nobody has.

    Raises: AnnotationError for a key given twice.
    """
    owners: dict[str, str] = {}
    for dimension in dimensions:
        for key in dimension.hotkeys:
            if key in owners:
                raise AnnotationError(
                    f"hotkey {key!r} is given twice, in dimension {owners[key]} and in"
                    f" {dimension.name}; give every answer a key of its own"
                )
            owners[key] = dimension.name
    free = (key for key in HOTKEYS if key not in owners)
    return [dimension.hotkeys or (next(free), next(free)) for dimension in dimensions]


def _block(dimension: Dimension, keys: tuple[str, ...]) -> str:
    answers = "".join(
        f'<Choice value="{choice}" hotkey="{key}"/>'
        for choice, key in zip(CHOICES, keys, strict=True)
    )
    title = dimension.name.replace("_", " ").capitalize()
    controls = (
        f'name="{dimension.name}" toName="{OBJECT}" choice="single" showInline="true"'
        f' required="true" requiredMessage={_attribute(f"{title}: answer Pass or Fail")}'
    )
    hints = [f'  <Header size="6" value={_attribute(line)}/>' for line in dimension.guidelines]
    lines = [
        '<View className="soli-dimension">',
        f'  <Header size="4" value="{title}"/>',
        '  <View className="soli-question">',
        f'    <Header size="5" value={_attribute(dimension.question)}/>',
        "  </View>",
        f"  <Choices {controls}>",
        f"    {answers}",
        "  </Choices>",
        '  <View className="soli-guidelines">',
        *(f"  {hint}" for hint in hints),
        "  </View>",
        "</View>",
    ]
    return "\n".join("      " + line for line in lines)


def _attribute(text: str) -> str:
    """Quoted attribute; a leading `$` would make Label Studio read a task field instead."""
    return quoteattr(text.lstrip("$"))


def instructions(dimensions: Sequence[Dimension]) -> str:
    """Guidelines with examples as HTML, for the page's own instructions panel.

    The panel takes margins and bullets away, so an empty line parts the questions.
    """
    parts = [f"<p>{ADVICE}</p>"]
    for dimension in dimensions:
        said = [*dimension.guidelines, *(f"Fail: {example}." for example in dimension.examples)]
        lines = "".join(f"<li>{escape(line)}</li>" for line in said)
        parts.append(f"<br><h4>{escape(dimension.question)}</h4><ul>{lines}</ul>")
    return "".join(parts)


def config_source(text: str) -> str | None:
    """Source UUID in a configuration or a project description; None where there is none."""
    found = _SOURCE.search(text)
    return found.group(1).lower() if found else None


def config_choices(config: str) -> dict[str, tuple[str, ...]]:
    """Dimension → choices offered, in reading order.

    Raises: AnnotationError where the text is no XML.

    >>> config_choices('<View><Choices name="a" toName="v"><Choice value="Pass"/></Choices></View>')
    {'a': ('Pass',)}
    """
    return {
        control.get("name", ""): tuple(_value(choice) for choice in control.iter("Choice"))
        for control in _root(config).iter("Choices")
    }


def config_objects(config: str) -> dict[str, str]:
    """Dimension → name of the tag that its answers are about.

    >>> config_objects('<View><Choices name="a" toName="v"><Choice value="Pass"/></Choices></View>')
    {'a': 'v'}
    """
    controls = _root(config).iter("Choices")
    return {control.get("name", ""): control.get("toName", OBJECT) for control in controls}


def config_dimensions(config: str) -> list[str]:
    """Names of the dimensions that every annotation must answer, in reading order."""
    return list(config_choices(config))


def config_problems(
    config: str, dimensions: Sequence[str], mapping: Mapping[str, Mapping[str, str]] | None = None
) -> list[str]:
    """What keeps this configuration from yielding complete Pass/Fail labels; empty when sound.

    mapping: dimension → choice → 'pass' or 'fail', beyond Pass and Fail.

    Label Studio accepts missing, renamed and optional choices without a word: this check is ours.
    """
    meanings = mapping or {}
    controls = {control.get("name", ""): control for control in _root(config).iter("Choices")}
    problems = [f"{name}: no <Choices> of that name" for name in dimensions if name not in controls]
    problems += [
        f"{name}: not among the dimensions {list(dimensions)}"
        for name in controls
        if name not in dimensions
    ]
    for name in dimensions:
        if name in controls:
            found = _control_problems(controls[name], meanings.get(name, {}))
            problems += [f"{name}: {problem}" for problem in found]
    return problems


def _control_problems(control: ET.Element, meanings: Mapping[str, str]) -> list[str]:
    choices = [_value(choice) for choice in control.iter("Choice")]
    read = {choice: meaning.capitalize() for choice, meaning in meanings.items()}
    problems = []
    if {read.get(choice, choice) for choice in choices} != set(CHOICES):
        problems.append(f"choices are {choices}, not {list(CHOICES)}")
    if control.get("required", "").lower() != "true":
        problems.append('not required="true": annotators could leave it out')
    if control.get("choice", "single") != "single":
        problems.append(f'choice="{control.get("choice")}" lets both be picked')
    return problems


def _value(choice: ET.Element) -> str:
    """What a picked choice is stored as: its alias, else its value."""
    return choice.get("alias") or choice.get("value") or ""


def _root(config: str) -> ET.Element:
    if "<!DOCTYPE" in config or "<!ENTITY" in config:  # no entity reaches the parser
        raise AnnotationError(
            "labelling configuration declares a DOCTYPE or entities; remove them in the project"
        )
    try:
        return ET.fromstring(config)  # noqa: S314 - entities are refused above
    except ET.ParseError as error:
        raise AnnotationError(
            f"labelling configuration is no XML ({error}); correct it in the project's settings"
        ) from error
