"""The most frequent reasons on a list: what visitors should expect to find."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection
from typing import Any

from riskmodel.screening.reasons import MOST_RAISING
from riskmodel.screening.scoring import Scores


def frequent_reasons(scores: Scores, households: Collection[str] | None = None) -> list[dict[str, Any]]:
    """Topics of the raising reasons, most frequent first: topic, zh, en (label of its commonest feature),
    risk_kind, count (households).

    households: only these (all that were scored by default). A household counts once a topic.
    """
    table = scores.table
    wanted = None if households is None else set(households)
    topics: Counter[str] = Counter()
    features: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for place, household in enumerate(scores.matrix.household_id):
        if wanted is not None and household not in wanted:
            continue
        raising = {table.names[index] for index in table.feature[place, :MOST_RAISING].tolist() if index >= 0}
        for name in raising:
            features[table.wordbook.catalogue[name].topic][name] += 1
        topics.update({table.wordbook.catalogue[name].topic for name in raising})
    rows = []
    for topic, count in sorted(topics.items(), key=lambda item: (-item[1], item[0])):
        commonest = min(features[topic].items(), key=lambda item: (-item[1], item[0]))[0]
        entry = table.wordbook.catalogue[commonest]
        rows.append(
            {
                "topic": topic,
                "zh": entry.label.zh,
                "en": entry.label.en,
                "risk_kind": entry.risk_kind,
                "count": count,
            }
        )
    return rows
