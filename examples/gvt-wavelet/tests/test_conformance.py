"""gvt's own checks, one test for each rule and component."""


def test_conformance(gvt_check):
    gvt_check()
