"""One true example of every request and answer. The tests check each against its model; docs/api.md shows the
same.
"""

from __future__ import annotations

from typing import Any, Final

from riskmodel.visits.forms import OUTCOMES
from riskmodel.vocabulary import RISK_KINDS, SIGNAL_EN, SIGNAL_ZH

HASH: Final = "5f2c" * 16
HOUSEHOLD: Final = "h000042"
JOB: Final = "7d0c4b5f9a1e4c3d8b2a6f0e1d2c3b4a"
VILLAGE: Final = "522301001003"
CARRIED: Final[dict[str, Any]] = {
    "model_version": "e4d80b41fcad",
    "as_of": "2025-12-31",
    "data_dates": {"households": "2025-12-30", "members": "2025-12-30", "medical": "2025-12-20"},
    "valid_until": "2026-01-31",
    "signal_not_determination": True,
    "signal_zh": SIGNAL_ZH,
    "signal_en": SIGNAL_EN,
}
FORM: Final[dict[str, Any]] = {
    "outcomes": [{"code": code, "zh": zh, "en": en} for code, (zh, en) in OUTCOMES.items()],
    "risk_kind_codes": [{"code": code, "zh": zh, "en": en} for code, (zh, en) in RISK_KINDS.items()],
    "disagreements": [{"code": "record_wrong", "zh": "登记数据有误", "en": "the record is wrong"}],
}
_ZH: Final = "近12个月医疗自付费用为18,400元，高于本乡镇96%的农户（医保数据截至2025年12月20日）"
_EN: Final = (
    "self-paid medical cost of the last 12 months is 18,400 yuan, higher than for 96 % of households in the "
    "township (medical insurance data to 20 December 2025)"
)
_REASON: Final = {
    "zh": _ZH,
    "en": _EN,
    "risk_kind": "illness",
    "risk_kind_zh": "因病",
    "risk_kind_en": "illness",
    "raises": True,
    "effect": 1.0,
}
_COUNTS: Final = {
    "households": 214,
    "listed": 9,
    "visited": 6,
    "confirmed": None,
    "red": 1,
    "orange": 2,
    "yellow": 3,
    "hidden": True,
}
_SUMMARY: Final = CARRIED | {
    "cycle": "2026-01",
    "county_code": "522301",
    "issued_at": "2026-01-02T02:00:00.000000+00:00",
    "capacity": 600,
    "listed": 573,
    "standby": 570,
    "visited": 120,
    "contradictory": 1,
    "open": 1011,
    "closed": False,
}
_ROW: Final = {
    "number": 17,
    "household_id": HOUSEHOLD,
    "list_hash": HASH,
    "on_list": True,
    "township_code": "522301001",
    "village_code": VILLAGE,
    "grade": "orange",
    "grade_zh": "橙",
    "grade_en": "orange",
    "why_zh": "评分位列前120户",
    "why_en": "score among the first 120",
    "probability": 0.214,
    "low": 0.17,
    "high": 0.26,
    "rank": None,
    "first_reason_zh": _ZH,
    "first_reason_en": _EN,
    "risk_kinds": ["illness"],
    "listed_as": "screening",
    "last_visit": "2025-03-11",
    "visit_zh": "",
    "visit_en": "",
    "contradicted": False,
    "team": None,
    "status": "open",
    "standby": False,
}

REQUESTS: Final[dict[str, Any]] = {
    "SignIn": {"key": "rm_0123456789ab_" + "0" * 64},
    "ScoresRequest": {"as_of": "2025-12-31", "horizon_months": 12, "household_ids": [HOUSEHOLD]},
    "Verifications": {
        "cycle": "2026-01",
        "list_hash": HASH,
        "results": [
            {
                "household_id": HOUSEHOLD,
                "visited_on": "2026-01-09",
                "outcome": "risk_confirmed",
                "risk_kinds": ["illness"],
                "disagreement": None,
                "visitor": "team-3",
                "note": "",
            }
        ],
        "idempotency_key": "tablet-3-2026-01-09-017",
    },
    "Withdrawal": {
        "list_hash": HASH,
        "household_id": HOUSEHOLD,
        "visitor": "team-3",
        "reason": "走访的是邻户，登记在本户名下",
    },
}

ANSWERS: Final[dict[str, Any]] = {
    "Session": {
        "role": "screener",
        "areas": ["522301001"],
        "purpose": "visits of the first quarter",
        "name": "screening desk, town 001",
        "csrf": "c0ffee" * 10 + "abcd",
        "expires_at": "2026-01-09T20:00:00.000000+00:00",
        "timezone": "Asia/Shanghai",
    },
    "ScoresAnswer": CARRIED
    | {
        "horizon_months": 12,
        "idempotency_key": None,
        "scores": [
            {
                "household_id": HOUSEHOLD,
                "probability": 0.214,
                "low": 0.17,
                "high": 0.26,
                "margin": -1.301,
                "risk_kinds": ["illness"],
                "reasons": [{"zh": _ZH, "en": _EN, "risk_kind": "illness", "raises": True}],
                "notes_zh": "",
                "notes_en": "",
                "feature_hash": "9b1f" * 8,
            }
        ],
    },
    "JobAnswer": {
        "job_id": JOB,
        "state": "running",
        "scored": 1400,
        "households": 3120,
        "as_of": "2025-12-31",
        "horizon_months": 12,
        "model_version": "e4d80b41fcad",
        "created_at": "2026-01-09T08:12:33.004512+00:00",
        "expires_at": "2026-01-10T08:12:33.004512+00:00",
        "idempotency_key": "night-run-0001",
        "faults": [],
        "faults_in_all": 0,
    },
    "Lists": {"lists": [_SUMMARY]},
    "ListPage": CARRIED
    | FORM
    | {
        "cycle": "2026-01",
        "county_code": "522301",
        "closed": False,
        "total": 1143,
        "next_cursor": "50",
        "filters": {
            "townships": [{"code": "522301001", "count": 61}],
            "villages": [{"code": VILLAGE, "count": 9}],
            "grades": [{"code": "orange", "zh": "橙", "en": "orange", "count": 117}],
            "risk_kinds": [{"code": "illness", "zh": "因病", "en": "illness", "count": 402}],
            "statuses": [{"code": "open", "zh": "待走访", "en": "to be visited", "count": 1011}],
        },
        "notes": [
            {"zh": "截断处有2户原始分相同。", "en": "The cut goes through 2 households with the same score."}
        ],
        "rows": [_ROW],
    },
    "HouseholdAnswer": CARRIED
    | {
        "household_id": HOUSEHOLD,
        "county_code": "522301",
        "township_code": "522301001",
        "village_code": VILLAGE,
        "horizon_months": 12,
        "probability": 0.214,
        "low": 0.17,
        "high": 0.26,
        "rank": 88,
        "of": 19346,
        "grade": {"code": "orange", "zh": "橙", "en": "orange"},
        "risk_kinds": ["illness"],
        "reasons": [_REASON],
        "notes_zh": "",
        "notes_en": "",
        "checks_zh": "因病：核实患病人员和自付费用。",
        "checks_en": "Illness: who is ill, and what remains to pay.",
        "rules": [{"name": "rule_self_paid", "zh": "医保自付超标准", "en": "self-paid cost above the rule"}],
        "changes": {
            "since": "2025-11-30",
            "moved": "up",
            "zh": "上升：新出现：" + _ZH,
            "en": "moved up: new: " + _EN,
            "way_zh": "上升",
            "way_en": "moved up",
            "parts": [{"zh": "新出现：" + _ZH, "en": "new: " + _EN}],
        },
        "freshness": [
            {
                "table": "medical",
                "zh": "医保",
                "en": "medical insurance",
                "newest": "2025-12-20",
                "age_days": 11,
                "stale": False,
            }
        ],
        "history": [
            {
                "as_of": "2025-12-31",
                "probability": 0.214,
                "low": 0.17,
                "high": 0.26,
                "rank": 88,
                "model_version": "e4d80b41fcad",
            }
        ],
        "visits": [
            {
                "visited_on": "2025-03-11",
                "origin": "lead",
                "outcome": "no_risk",
                "outcome_zh": "未发现风险",
                "outcome_en": "no risk found",
                "risk_kinds": [],
                "cycle": "2025-03",
                "list_hash": HASH,
                "team": "8",
                "recorded_on": "2025-03-12",
                "contradicted": False,
                "zh": "3月11日已走访（8组）：未发现风险",
                "en": "visited on 2025-03-11 (team 8): no risk found",
                "disagreement": None,
                "note": "",
            }
        ],
        "last_visit": "2025-03-11",
        "on_list": FORM
        | {
            "cycle": "2026-01",
            "county_code": "522301",
            "list_hash": HASH,
            "number": 17,
            "as_of": "2025-12-31",
            "status": "open",
            "visit_zh": "",
            "visit_en": "",
            "contradicted": False,
            "standby": False,
            "closed": False,
            "why_zh": "评分位列前120户",
            "why_en": "score among the first 120",
        },
        "not_listed": None,
    },
    "Taken": {
        "accepted": 1,
        "corrected": 0,
        "unchanged": 0,
        "refused": [
            {
                "row": 1,
                "household_id": "h000043",
                "reasons": [
                    {
                        "zh": "存在风险的，至少选一类风险",
                        "en": "a risk was found: give at least one risk kind",
                    }
                ],
            }
        ],
        "conflicts": [],
    },
    "Withdrawn": {"household_id": HOUSEHOLD, "conflicts": []},
    "Areas": CARRIED
    | {
        "cycle": "2026-01",
        "county_code": "522301",
        "hidden_below": 5,
        "townships": [{"code": "522301001", **_COUNTS, "villages": [{"code": VILLAGE, **_COUNTS}]}],
    },
    "ModelCard": CARRIED
    | {
        "learner": "lightgbm",
        "title": {"zh": "LightGBM（12个月）", "en": "LightGBM, 12 months"},
        "trained_until": "2025-12-31",
        "horizon_months": [12],
        "metrics": [
            {
                "name": "recall_at_3%",
                "zh": "前3%覆盖率",
                "en": "recall at 3 %",
                "value": 0.243,
                "low": 0.198,
                "high": 0.294,
                "text_zh": "走访排在前3%的农户，大约能找到全部后来确认风险农户的24.3%（95%区间19.8%至29.4%）",
                "text_en": (
                    "visiting the first 3 % of households would have found about 24.3 % of all that were "
                    "confirmed later (95 % interval 19.8 % to 29.4 %)"
                ),
            }
        ],
        "groups": [],
        "waivers": [],
        "limits_zh": ["只安排核实的先后，不认定任何人。"],
        "limits_en": ["It puts visits in order."],
        "statement": "The figures were measured on as-of dates after everything the model had learned from.",
        "settings_hash": HASH,
        "not_taken": None,
    },
    "ProblemCard": {
        "code": "too-large",
        "status": 413,
        "title": "The request is too large",
        "title_zh": "请求过大",
        "remedy": "Send it in several requests.",
        "remedy_zh": "请分多次发送。",
    },
    "AuditPage": {
        "entries": [
            {
                "number": 4711,
                "at": "2026-01-09T08:12:33.004512+00:00",
                "actor": "0123456789ab",
                "role": "screener",
                "purpose": "visits of the first quarter",
                "action": "household seen",
                "subject": HOUSEHOLD,
                "model_version": "e4d80b41fcad",
                "details": '{"as_of":"2025-12-31"}',
                "previous": "0" * 64,
                "hash": "1" * 64,
            }
        ],
        "next_since": None,
        "head": {"number": 4711, "hash": "1" * 64},
    },
}


def problem(status: int, code: str, title: str) -> dict[str, Any]:
    """A refusal as it looks."""
    faults = []
    if status == 400:
        faults = [
            {
                "where": "results.0.outcome",
                "found": "literal_error",
                "expected": "Input should be 'risk_confirmed', 'no_risk', 'risk_eliminated' or 'unreachable'",
                "remedy": "The shape is in /openapi.json and docs/api.md.",
            }
        ]
    return {
        "type": f"/problems/{code}",
        "code": code,
        "title": title,
        "status": status,
        "detail": "1 fault in the request" if faults else title,
        "request_id": "9b2c7d4e0f1a2b3c4d5e6f70",
        "faults": faults,
        "faults_in_all": len(faults),
    }


def requests(name: str) -> dict[str, Any]:
    """Examples of a request by the name of its shape: what each shows -> the body."""
    if name == "JobRequest":
        return {"rows": ROWS_REQUEST}
    if name != "ScoresRequest":
        return {"usual": REQUESTS[name]}
    return {"rows": ROWS_REQUEST, "stored households": REQUESTS[name]}


ROWS_REQUEST: Final[dict[str, Any]] = {
    "as_of": "2025-12-31",
    "horizon_months": 12,
    "idempotency_key": "case-4711-a",
    "tables": {
        "households": [
            {
                "household_id": "H0000003",
                "known_on": "2025-01-05",
                "county_code": "522301",
                "township_code": "522301102",
                "village_code": "522301102200",
                "category": "lifted",
                "relocated": False,
            }
        ],
        "members": [
            {
                "member_id": "M0000011",
                "known_on": "2025-01-05",
                "household_id": "H0000003",
                "birth_date": "1961-04-02",
                "sex": "female",
                "relation": "head",
                "education": "primary",
                "schooling": "none",
                "chronic_ill": True,
                "seriously_ill": False,
                "labour": "weak",
                "medical_insured": True,
                "pension_insured": True,
                "dibao": False,
                "tekun": False,
            }
        ],
        "income": [
            {
                "event_id": "I0000017",
                "household_id": "H0000003",
                "known_on": "2025-07-10",
                "occurred_on": "2025-06-30",
                "source": "wage",
                "amount": 5200.0,
            }
        ],
        "medical": [],
    },
}
