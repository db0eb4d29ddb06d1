"""Tables of what was made of labels: agreement, gates, annotators, consensus."""

from __future__ import annotations

from warehouse.contracts.columns import (
    ACTIONS,
    ANNOTATOR,
    DIMENSION,
    ITEM,
    LABELS,
    MEASUREMENT,
    METHODS,
    STATISTICS,
    SUITABILITIES,
    UNITS,
    VERDICTS,
    Column,
    one_of,
    share,
    table,
)

AGREEMENT = table(
    "agreement",
    "One row per measurement x dimension x slice x statistic, with a 95 % bootstrap interval.",
    ("measurement_id", "dimension", "slice", "statistic"),
    MEASUREMENT,
    DIMENSION,
    Column("slice", "string", "all, or attribute=value"),
    Column("statistic", "string", "which number", check=one_of("statistic", STATISTICS)),
    Column("value", "float64", "the number; NULL where undefined, see reason", nullable=True),
    Column("low", "float64", "lower end of the interval", nullable=True),
    Column("high", "float64", "upper end of the interval", nullable=True),
    Column("reason", "string", "why there is no number", nullable=True),
    Column("word", "string", "Landis-Koch word for alpha and kappa", nullable=True),
    Column("items", "int64", "items in the slice", check="items >= 0"),
    Column("labels", "int64", "design labels in the slice", check="labels >= 0"),
    Column("annotators", "int64", "annotators in the slice", check="annotators >= 0"),
    Column("unit", "string", "what the interval draws", True, check=one_of("unit", UNITS)),
    version=2,  # 2: unit
)

GATES = table(
    "gates",
    "One verdict per measurement x dimension x statistic.",
    ("measurement_id", "dimension", "statistic", "side", "threshold"),
    MEASUREMENT,
    DIMENSION,
    Column("statistic", "string", "which number is gated", check=one_of("statistic", STATISTICS)),
    Column("side", "string", "end compared", check=one_of("side", ("low", "value", "high"))),
    Column("threshold", "float64", "stop when the compared end lies below"),
    Column("compared", "float64", "the end that was compared", nullable=True),
    Column("verdict", "string", "go or stop", check=one_of("verdict", VERDICTS)),
    Column("reason", "string", "one sentence"),
    Column("minimum_items", "int64", "with fewer items the rule does not judge", nullable=True),
    Column("worst", "json", "slices that lie lowest: slice, value, low, high, items", True),
    version=2,  # 2: minimum_items, worst
)

ANNOTATORS = table(
    "annotators",
    "One row per measurement x annotator x dimension.",
    ("measurement_id", "annotator_id", "dimension"),
    MEASUREMENT,
    ANNOTATOR,
    DIMENSION,
    Column("labels", "int64", "design labels given", check="labels >= 0"),
    Column("pass_rate", "float64", "share of pass", check=share("pass_rate")),
    Column(
        "sensitivity", "float64", "P(says pass | pass), Dawid-Skene", check=share("sensitivity")
    ),
    Column(
        "specificity", "float64", "P(says fail | fail), Dawid-Skene", check=share("specificity")
    ),
    Column(
        "leave_one_out",
        "float64",
        "agreement with the majority of the others; NULL where nobody else judged",
        nullable=True,
        check=share("leave_one_out"),
    ),
    Column("seconds", "float64", "median lead time", nullable=True, role="bookkeeping"),
    Column("compared", "int64", "labels behind leave_one_out", nullable=True),
    Column("low", "float64", "lower end of leave_one_out's interval", nullable=True),
    Column("high", "float64", "upper end of leave_one_out's interval", nullable=True),
    Column("pass_bias", "float64", "pass rate minus the others' on the same items", nullable=True),
    Column("gold_labels", "int64", "labels on items whose gold label is known", nullable=True),
    Column("gold_accuracy", "float64", "share of those that say what gold says", nullable=True),
    Column("gold_low", "float64", "lower end of gold_accuracy's interval", nullable=True),
    Column("gold_high", "float64", "upper end of gold_accuracy's interval", nullable=True),
    Column("fast_share", "float64", "share of labels given too quickly", True, role="bookkeeping"),
    Column(
        "flags", "json", "list out of random, drifts, fast, copies; with reasons", nullable=True
    ),
    version=2,  # 2: compared to flags
)

CONSENSUS = table(
    "consensus",
    "One row per consensus run x item x dimension.",
    ("consensus_id", "item_id", "dimension"),
    Column("consensus_id", "string", "digest of labels, method, settings", role="bookkeeping"),
    ITEM,
    DIMENSION,
    Column("label", "string", "the decision", check=one_of("label", (*LABELS, "undecided"))),
    Column("p_pass", "float64", "P(pass), rounded to 1e-6", check=share("p_pass")),
    Column("n_pass", "int32", "labels that count saying pass", check="n_pass >= 0"),
    Column("n_fail", "int32", "labels that count saying fail", check="n_fail >= 0"),
    Column("method", "string", "how it was decided", check=one_of("method", METHODS)),
)

CALIBRATIONS = table(
    "calibrations",
    "One row per consensus run x dimension: how P(pass) was fitted to the gold labels.",
    ("consensus_id", "dimension"),
    Column("consensus_id", "string", "the consensus run", role="bookkeeping"),
    DIMENSION,
    Column("gold_items", "int64", "items with a gold label and a P(pass)", check="gold_items >= 0"),
    Column("slope", "float64", "logit P = slope x logit of the raw P + intercept"),
    Column("intercept", "float64", "see slope; 1 and 0 where nothing was fitted"),
    Column("brier_before", "float64", "mean squared error of the raw P on gold", nullable=True),
    Column("brier_after", "float64", "and of the fitted P, each item left out in turn", True),
    Column("reason", "string", "why nothing was fitted", nullable=True),
)

SUITABILITY = table(
    "suitability",
    "One row per test x dimension: does a shared Pass mean the same quality?",
    ("measurement_id", "dimension"),
    MEASUREMENT,
    DIMENSION,
    Column("verdict", "string", "may it make win-ties", check=one_of("verdict", SUITABILITIES)),
    Column("items", "int64", "items with enough design labels", check="items >= 0"),
    Column("labels", "int64", "design labels on them", check="labels >= 0"),
    Column("dispersion", "float64", "correlation of two labels of a true pass", nullable=True),
    Column("low", "float64", "lower end of its interval", nullable=True),
    Column("high", "float64", "upper end of its interval", nullable=True),
    Column("p_value", "float64", "of no dispersion beyond annotators' errors", nullable=True),
    Column("difficulty", "float64", "spread of error rates that alone would explain it", True),
    Column("power", "float64", "chance to find a threshold dimension with these data", True),
    Column("reason", "string", "one sentence"),
)

AUDIT = table(
    "audit",
    "One row per thing that was done against a rule or on a request to delete, with its reason.",
    ("audit_id",),
    Column("audit_id", "string", "digest of the row"),
    Column("action", "string", "what was done", check=one_of("action", ACTIONS)),
    Column("subject", "string", "what it was done to, such as a pair set"),
    Column("reason", "string", "why, in the words of who did it"),
    Column("details", "json", "what stood against it; what was deleted, by keyed digest"),
)
