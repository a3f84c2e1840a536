from gnnrl.report.elements import breakable


def test_names_break_at_their_dots_and_long_ones_anywhere_else() -> None:
    assert breakable("features.3.conv_reduce/x") == "features<wbr>.3<wbr>.conv_reduce<wbr>/x"
    assert breakable("x" * 40) == "<wbr>".join(("x" * 16, "x" * 16, "x" * 8))
    assert breakable("<b>.") == "&lt;b&gt;<wbr>."
