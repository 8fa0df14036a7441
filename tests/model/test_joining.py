"""What a node must have been told before it may be a home, as a model: without a false miss, and
so that it becomes ready in the end. With a rule left out spin finds what the rule is for."""
import pytest
from explorer import holds, is_found, needs_spin

pytestmark = needs_spin
AGAIN = {"RESTARTS": 1, "STARTS_READY": 1}


@pytest.mark.parametrize("settings", [
    {"BURIES": 1},
    {"BURIES": 1, "LIVES": 0, "CROWDS": 1},
    {"BURIES": 1, "LIVES": 0} | AGAIN,
    {"BURIES": 1, "ENDS": 1, "STARTS_READY": 1},
    {"ENDS": 1, "RETURNS": 1},
    {"ENDS": 1, "RETURNS": 1} | AGAIN,
    {"ENDS": 1, "RETURNS": 1, "CROWDS": 1},
    {"ENDS": 1, "LINKS": 1},
], ids=["a promise ends", "no room", "after a restart", "of who serves", "another returns",
        "another returns, a restart", "another returns, no room", "another link"])
def test_nothing_is_missed(settings, tmp_path):
    holds("joining.pml", tmp_path, 10_000, **settings)


@pytest.mark.parametrize("rule, settings", [
    ("TOLD_AGAIN", {"BURIES": 1, "LIVES": 0, "CROWDS": 1}),
    ("TELL", {"BURIES": 1}),
    ("AGREE_ANEW", {"BURIES": 1}),
    ("BREAK_OFF", {"BURIES": 1, "LIVES": 0, "RULE_OWES": 0} | AGAIN),
    ("NUMBER", {"BURIES": 1}),
    ("PULLS_NUMBER", {"ENDS": 1} | AGAIN),
    ("OWES", {"CROWDS": 1}),
    ("PULLS_UNDO", {"CROWDS": 1}),
    ("CROWD_WHOLE", {"CROWDS": 1}),
    ("BASE", {"ENDS": 1} | AGAIN),
    ("CHANGES", {"ENDS": 1}),
    ("LOST_STAYS", {"ENDS": 1}),
    ("SERVES", {"ENDS": 1, "RETURNS": 1}),
])
def test_a_rule_left_out_is_found(rule, settings, tmp_path):
    is_found("joining.pml", tmp_path, **{f"RULE_{rule}": 0}, **settings)
