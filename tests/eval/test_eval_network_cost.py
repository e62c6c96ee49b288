import pytest
import torch

from dff.eval import network_cost
from dff.eval.meter import Usage
from dff.model.device import computes_in_half
from dff.recipes import load_recipe


def test_protocol_of_the_project_is_read():
    protocol = load_recipe("eval", network_cost.NAME, network_cost.Protocol)
    assert [stack.name for stack in protocol.stacks] == ["10 x 256x256", "10 x 640x360"]
    assert all("tiny" in stack.max_cpu_s for stack in protocol.stacks)


def test_unknown_networks_are_refused():
    with pytest.raises(ValueError, match="choose from nano, tiny, base, dff-wild"):
        network_cost.Stack(3, 32, 32, ("huge",))


def test_end_to_end(monkeypatch):
    monkeypatch.setattr(network_cost, "peak_mb", lambda *size: 900.0)
    monkeypatch.setattr(network_cost, "measure", lambda command: Usage(1.0, 1.0, 300.0))
    threads = torch.get_num_threads()
    stack = network_cost.Stack(2, 32, 32, ("nano", "dff-wild"), {"nano": 60.0})
    ratio = network_cost.Ratio("nano", "dff-wild", 0.0)
    report = network_cost.run(network_cost.Protocol((stack,), (ratio,), 1), say=lambda line: None)
    assert torch.get_num_threads() == threads
    assert [(row[1], row[7]) for row in report.tables[0].rows] == [("nano", 600.0), ("dff-wild", 600.0)]
    assert all(row[3] > 0 for row in report.tables[0].rows)
    native = computes_in_half(torch.device("cpu"))
    assert all((row[5] > 0) == native for row in report.tables[0].rows)  # NaN where it is not
    assert [target.met for target in report.targets] == [True, True]


def test_a_process_of_its_own_runs_one_network(monkeypatch):
    monkeypatch.setattr("sys.argv", ["network_cost", "nano", "2", "32", "32"])
    assert network_cost.main() == 0
