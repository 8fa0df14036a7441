"""A write that goes by way of the home, as a model, when the link to it ends: it undoes nothing
that was written afterwards. With a rule left out spin finds what the rule is for."""
import pytest
from explorer import holds, is_found, needs_spin

pytestmark = needs_spin


def test_what_nobody_waits_for_undoes_nothing(tmp_path):
    holds("relay.pml", tmp_path, 500)


@pytest.mark.parametrize("rule", ["RULE_FORGET", "RULE_UNSURE", "RULE_ONCE"])
def test_a_rule_left_out_is_found(rule, tmp_path):
    is_found("relay.pml", tmp_path, **{rule: 0})


def test_what_time_forbids_is_found_without_it(tmp_path):
    """What the home sent on, or decides before it knows of the end, is done behind the answer."""
    is_found("relay.pml", tmp_path, SETTLES=0)
