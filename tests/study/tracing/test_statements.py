import pytest

from minivit.study.tracing.statements import statement_at

SOURCE = '''\
def forward(self, params, x):
    """A head of
    one line and a docstring."""
    q, k = x  # (B, T)
    scores = multiply(
        q,
        out=k,
    )
    scores *= 2
    q[:, 0], cache["a"] = 1, 2
    matmul(q, k, out=scores)
    grads["ln"]["w"] += q
    try:
        y = exp(x, out=x)
    except ValueError:
        pass
    for i, (a, b) in pairs:
        q[self.name] = grads[self.name][0] = 1
'''


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "layer.py"
    path.write_text(SOURCE)
    return str(path)


@pytest.mark.parametrize(
    "line, source, bound, written, spent",
    [
        (1, "def forward(self, params, x):", "", "", ""),
        (4, "q, k = x  # (B, T)", "q k", "", ""),
        (7, "scores = multiply(\n        q,\n        out=k,\n    )", "scores", "", "k"),
        (9, "scores *= 2", "", "scores", ""),
        (10, 'q[:, 0], cache["a"] = 1, 2', "", "q cache", ""),
        (11, "matmul(q, k, out=scores)", "", "scores", ""),
        (14, "y = exp(x, out=x)", "y", "", "x"),
        (15, "try:", "", "", ""),
        (17, "for i, (a, b) in pairs:", "i", "", ""),
    ],
)
def test_reads_what_a_statement_does(file, line, source, bound, written, spent):
    statement = statement_at(file, line)
    assert statement.source == source
    assert statement.bound == set(bound.split())
    assert statement.written == set(written.split())
    assert statement.spent == set(spent.split())
    assert statement.updates == ("*=" in source)


def test_reads_which_gradients_are_added_to(file):
    assert statement_at(file, 12).grads == (("ln", "w"),)
    assert statement_at(file, 10).grads == ()
    assert statement_at(file, 18).grads == ()  # a key that only the run knows


def test_says_when_there_is_no_source():
    with pytest.raises(ValueError, match="source of <stdin>, line 1, cannot be read"):
        statement_at("<stdin>", 1)


def test_refuses_several_statements_on_one_line(tmp_path):
    path = tmp_path / "crowded.py"
    path.write_text("def f(x):\n    h = x * 2; y = h * h\n    return y\n")
    assert statement_at(str(path), 3).source == "return y"
    with pytest.raises(ValueError, match="line 2 of .* has several statements"):
        statement_at(str(path), 2)
