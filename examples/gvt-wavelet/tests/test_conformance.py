"""The conformance kit of gvt, with one test for each rule and component."""


def test_conformance(gvt_check):
    gvt_check()
