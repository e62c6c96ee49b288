"""`dff eval`: methods on a public data set, the way its published table was made."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from pathlib import Path

from dff.commands import telling
from dff.commands.eval_options import Eval
from dff.commands.terminal import Terminal
from dff.data.catalogue import open_dataset
from dff.eval.baselines.methods import check_methods, load_method
from dff.eval.dataset_keep import Kept
from dff.eval.dataset_protocol import DatasetProtocol, choose_protocol
from dff.eval.dataset_report import Line, make_report, read_lines
from dff.eval.dataset_run import Found, Saving, evaluate
from dff.eval.dataset_submit import is_submitted, submit
from dff.formats.safe_write import check_folder


def evaluate_dataset(options: Eval) -> None:
    """Score, print the table, and write what was asked for."""
    with Terminal(options.quiet, options.json).working() as terminal:
        models = _words(options.model)
        check_methods(models)
        name, protocol = choose_protocol(options.dataset, options.protocol, options.split)
        if options.limit is not None and options.limit < 1:
            raise ValueError(f"--limit {options.limit}: give 1 or more")
        samples = open_dataset(protocol.dataset, options.data, protocol.split)
        count = len(samples.names[: options.limit])
        keep = _kept(options, name, protocol)
        others = _others(options, name, protocol, count)
        methods = [load_method(model, options.device) for model in models]
        if keep is not None:
            keep.begin()  # now, since other folders may lie in it
        saving = Saving(_folder(options.save_predictions), _folder(options.vis))
        terminal.say(
            f"protocol {name}: {count} of {len(samples)} stacks of {options.dataset}, {protocol.split}"
        )

        results = evaluate(
            samples,
            protocol,
            methods,
            limit=options.limit,
            keep=keep,
            saving=saving,
            say=terminal.say,
            progress=terminal.progress,
        )
        report = make_report(
            name, protocol, results, others=others, total=len(samples), options=_command(options)
        )
        written: dict[str, list[str]] = {}
        if keep is not None:
            written["out"] = [str(path) for path in report.write(keep.folder)]
        if is_submitted(protocol):
            written["submission"] = _submissions(results, saving, protocol, terminal)
        for result in results:
            for kind, paths in saving.written(result.name).items():
                written[f"{kind} {result.name}"] = [str(path) for path in paths]
        terminal.say("", *report.tables[0].markdown().splitlines(), "", *telling.about_files(written))
        if options.json:
            print(report.as_json(), end="")


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _folder(path: str | None) -> Path | None:
    """A folder that files may be added to."""
    return None if path is None else check_folder(path, overwrite=True)


def _kept(options: Eval, name: str, protocol: DatasetProtocol) -> Kept | None:
    if options.out is None:
        return None
    data = Path(options.data)
    if os.path.realpath(options.out) == os.path.realpath(data):
        raise ValueError(f"{options.out}: holds the data set itself; choose another folder for --out")
    return Kept(Path(options.out), name, protocol, data, overwrite=options.overwrite)


def _others(options: Eval, name: str, protocol: DatasetProtocol, count: int) -> list[Line]:
    folders = _words(options.compare or "")
    return [line for folder in folders for line in read_lines(Path(folder), name, protocol, count)]


def _submissions(
    results: Sequence[Found], saving: Saving, protocol: DatasetProtocol, terminal: Terminal
) -> list[str]:
    """What the authors' server takes, as far as predictions of all stacks were saved."""
    paths = [submit(found, saving, protocol) for found in results]
    if None in paths:
        terminal.warn("nothing to submit: that takes --save-predictions and all stacks of the test part")
    return [str(path) for path in paths if path is not None]


def _command(options: Eval) -> str:
    """The options that change the result, as typed."""
    asked = {
        "dataset": options.dataset,
        "data": options.data,
        "model": options.model,
        "protocol": options.protocol,
        "split": options.split,
        "limit": options.limit,
    }
    return " ".join(
        f"--{name} {shlex.quote(str(value))}" for name, value in asked.items() if value is not None
    )
