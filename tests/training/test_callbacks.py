import json

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from training.callbacks import CurveFile, TensorBoard
from training.run import train


def scalars(folder):
    """Steps and values of each scalar, as TensorBoard shows them."""
    events = EventAccumulator(str(folder)).Reload()
    return {
        name: [(event.step, event.value) for event in events.Scalars(name)]
        for name in events.Tags()["scalars"]
    }


def test_a_run_tells_its_curve_to_a_file_to_tensorboard_and_to_whoever_asks(config, write_job):
    heard = []

    class Listener:
        def on_line(self, line):
            heard.append(line)

        def on_end(self, result):
            heard.append(result)

    job = write_job(config)
    result = train(job, quiet=True, callbacks=[Listener()])
    lines = [json.loads(line) for line in (job / "curve.jsonl").read_text().splitlines()]
    assert heard == [*lines, result]
    shown = scalars(job / "tensorboard")
    assert [step for step, _ in shown["loss"]] == [line["step"] for line in lines]
    assert "validation_acc/subject_deformity" in shown


def test_a_curve_that_goes_on_loses_what_came_after_and_a_torn_line(tmp_path):
    path = tmp_path / "curve.jsonl"
    path.write_text('{"step": 1}\n{"step": 2}\n{"step": 3}\n{"ste')
    CurveFile(path, 2).on_line({"step": 3, "loss": 0.5})
    assert path.read_text() == '{"step": 1}\n{"step": 2}\n{"step": 3, "loss": 0.5}\n'
    CurveFile(path, 0)
    assert path.read_text() == ""


def test_tensorboard_takes_back_what_a_killed_run_showed_too_much(tmp_path):
    first = TensorBoard(tmp_path, 0)
    for step in (1, 2, 3):
        first.on_line({"step": step, "loss": float(step)})
    again = TensorBoard(tmp_path, 1)
    again.on_line({"step": 2, "loss": 9.0})
    again.on_end({})
    assert scalars(tmp_path) == {"loss": [(1, 1.0), (2, 9.0)]}
