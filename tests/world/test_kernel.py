from scripworld.world import Done

from .lab import Lab


def test_a_principal_acts_and_is_answered(lab: Lab):
    assert lab.read("bob", "motto") == Done("be kind")
    assert lab.last.answer == Done("be kind")
