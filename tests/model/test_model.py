"""The ownership protocol as a model: spin walks through every order of events within the bounds,
and finds nothing wrong. With a rule left out it finds what the rule is for."""
import pytest
from explorer import holds, is_found, needs_spin

pytestmark = needs_spin
DRAIN = {"MOVES": 1, "WRITES": 1, "LAPSES": 0, "DRAINS": 1, "OFFERS": 1}


@pytest.mark.parametrize("settings", [
    {"MOVES": 2, "WRITES": 2, "LAPSES": 1},
    {"MOVES": 2, "WRITES": 2, "LAPSES": 0, "CRASHES": 1},
    {"MOVES": 1, "WRITES": 1, "LAPSES": 1, "DELETES": 1},
    {"MOVES": 1, "WRITES": 2, "LAPSES": 1, "STANDINS": 1},
    {"MOVES": 1, "WRITES": 2, "LAPSES": 0, "CRASHES": 1, "STANDINS": 1},
    DRAIN | {"UNTRUE": 1},
    DRAIN | {"LAPSES": 1},
    DRAIN | {"CRASHES": 1},
], ids=["a node stops", "a node is lost", "a delete", "a stand-in", "a stand-in is all that is left",
        "a drain", "a node stops in a drain", "a node is lost in a drain"])
def test_the_rules_hold(settings, tmp_path):
    holds("ownership.pml", tmp_path, 10_000, **settings)


@pytest.mark.parametrize("settings", [
    {"RULE_SERVE_LEASED": 0},
    {"RULE_ACK_LEASED": 0, "BACKUPS": 2},
    {"RULE_QUERY": 0},
    {"RULE_QUERY": 0, "LAPSES": 0, "CRASHES": 1, "STANDINS": 1},
    DRAIN | {"RULE_OFFER_ASKS": 0},
    DRAIN | {"RULE_STAYS": 0},
], ids=["RULE_SERVE_LEASED", "RULE_ACK_LEASED", "RULE_QUERY", "RULE_QUERY, a stand-in",
        "RULE_OFFER_ASKS", "RULE_STAYS"])
def test_a_rule_left_out_is_found(settings, tmp_path):
    is_found("ownership.pml", tmp_path, **settings)
