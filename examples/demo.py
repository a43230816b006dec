"""Fine-tunes pretrained weights on the example tickets and sorts new ones.

    python -m examples.demo CHECKPOINT_FOLDER

Runs the two commands that a user would run, shows them, and sums up what came
out; `make demo` fetches the weights and calls this.
"""

from __future__ import annotations

import csv
import json
import pathlib
import shlex
import subprocess
import sys

from bert_keras3.commands.screen import print_table

ROOT = pathlib.Path(__file__).resolve().parent.parent
OUTPUT = pathlib.Path("demo_output")


def run(*arguments: str) -> None:
    """Shows a command and runs it; its failure ends the demo."""
    sys.stdout.write(f"\n$ python {shlex.join(arguments)}\n")
    sys.stdout.flush()
    status = subprocess.run([sys.executable, *arguments], cwd=ROOT).returncode
    if status:
        sys.exit(status)


def main(checkpoint: str) -> None:
    """Trains, evaluates, predicts, and shows the result."""
    run(
        "run_classifier.py",
        "--do_train",
        "--do_eval",
        "--train_file=examples/support_tickets.csv",
        f"--init_checkpoint={checkpoint}",
        f"--output_dir={OUTPUT}",
        "--overwrite_output_dir",
        "--max_seq_length=64",
        "--train_batch_size=16",
        "--learning_rate=1e-4",
        "--num_train_epochs=8",
    )
    run(
        "run_classifier.py",
        "--do_predict",
        "--test_file=examples/support_tickets_new.csv",
        f"--output_dir={OUTPUT}",
    )
    figures = json.loads((ROOT / OUTPUT / "eval_results.json").read_text())
    with open(
        ROOT / "examples/support_tickets_new.csv", encoding="utf-8", newline=""
    ) as file:
        texts = {row["ticket_id"]: row["text"] for row in csv.DictReader(file)}
    with open(
        ROOT / OUTPUT / "predictions.csv", encoding="utf-8", newline=""
    ) as file:
        predictions = list(csv.DictReader(file))
    print_table(
        ("ticket", "text", "predicted", "probability"),
        [
            (
                row["id"],
                texts[row["id"]],
                row["label"],
                f"{float(row['probability_' + row['label']]):.2f}",
            )
            for row in predictions
        ],
        title=f"{len(predictions)} new tickets",
    )
    sys.stdout.write(
        f"accuracy on {figures['examples']} tickets held out of training: "
        f"{figures['accuracy']:.3f} (macro F1 {figures['macro_f1']:.3f})\n"
        f"files: {OUTPUT}/predictions.csv, {OUTPUT}/eval_results.json, "
        f"{OUTPUT}/confusion_matrix.csv, {OUTPUT}/model.keras\n"
    )


if __name__ == "__main__":
    main(sys.argv[1])
