import json

import numpy as np
import pytest

from dff.eval.report import Report, Table, Target


def table():
    return Table("Errors", {"stack": "", "error [px]": ".2f"}, [["a", 1.234], ["b", float("nan")]], "A note.")


def report():
    targets = [Target("a: error", 1.234, "at most", 2.0), Target("b: error", float("nan"), "at least", 2.0)]
    return Report("example", "--limit 2", {"stacks": ["a", "b"]}, [table()], targets)


def test_markdown_of_a_table():
    assert table().markdown().splitlines() == [
        "## Errors",
        "",
        "| stack | error [px] |",
        "| ----- | ---------: |",
        "| a     |       1.23 |",
        "| b     |          - |",
        "",
        "A note.",
    ]


@pytest.mark.parametrize(
    ("value", "sense", "met"),
    [
        (1.0, "at most", True),
        (1.1, "at most", False),
        (1.0, "at least", True),
        (0.9, "at least", False),
        (float("nan"), "at most", False),
        (float("nan"), "at least", False),
    ],
)
def test_targets(value, sense, met):
    assert Target("what", value, sense, 1.0).met is met


def test_report_says_how_it_was_made():
    text = report().markdown()
    assert text.startswith("# example\n\nMade by `python -m dff.eval example --limit 2`: dff ")
    assert "| a: error |    1.234 | at most 2  | yes |" in text
    assert "| b: error |        - | at least 2 | NO  |" in text


def test_json_holds_numbers_not_text():
    found = json.loads(report().as_json())
    assert found["tables"][0]["rows"] == [
        {"stack": "a", "error [px]": 1.234},
        {"stack": "b", "error [px]": None},
    ]
    assert [target["met"] for target in found["targets"]] == [True, False]
    assert found["protocol"] == {"stacks": ["a", "b"]}
    assert found["command"] == "python -m dff.eval example --limit 2"


def test_json_takes_numbers_of_numpy():
    one = Report("example", "", {}, [Table("t", {"x": "d"}, [[np.int64(3)]])], [])
    assert json.loads(one.as_json())["tables"][0]["rows"] == [{"x": 3}]


def test_writing_replaces_an_earlier_run(tmp_path):
    folder = tmp_path / "a" / "results"
    assert report().write(folder) == [folder / "example.md", folder / "example.json"]
    (folder / "example.md").write_text("old")
    report().write(folder)
    assert (folder / "example.md").read_text().startswith("# example")
    assert sorted(path.name for path in folder.iterdir()) == ["example.json", "example.md"]


def test_a_file_in_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "results").write_text("mine")
    with pytest.raises(ValueError, match="is not a folder"):
        report().write(tmp_path / "results")
