"""One translation job from files to files: training, BLEU, texts, an export.

    flags ─▶ encoder ─▶ pairs ─▶ model ─▶ train ─▶ translate ─▶ BLEU, files

Mistakes in flags and files are reported before anything is written.
"""

from __future__ import annotations

import contextlib
import copy
import math
import pathlib
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from typing import IO, Any

import numpy as np
from keras import ops

from bert_keras3 import checkpointing
from bert_keras3.checkpointing import Checkpoint
from bert_keras3.safekeeping.errors import UserError
from bert_keras3.safekeeping.settings import check_ranges
from bert_keras3.training import session
from bert_keras3.training.devices import make_deterministic
from bert_keras3.training.predict import Predictor
from bert_keras3.training.session import (
    Plan,
    Screen,
    Session,
    begin,
    identity_of,
    open_session,
    train,
)
from bert_keras3.training.settings import OFF
from bert_keras3.translation import bleu
from bert_keras3.translation.detokenization import learn_spacing
from bert_keras3.translation.pairs import (
    PER_TOKEN,
    Pairs,
    TextPairs,
    TrainingBatches,
    batches_of_pairs,
    encode_pairs,
    read_pairs,
)
from bert_keras3.translation.run_folder import (
    TranslatorFolder,
    TranslatorSettings,
)
from bert_keras3.translation.settings import Job, TranslatorChoices
from bert_keras3.translation.translator import Decoding, Translator
from modeling.decoder import EncoderDecoder
from modeling.losses import label_smoothing_loss, log_likelihood_loss
from modeling.shapes import Tensor
from tokenization.tokenizers import FullTokenizer
from tokenization.vocab import require_special_tokens

# The decoder and its own table start from random values.
_DECODER = "decoder/"
_LOSSES = "losses"
# Texts of the standard input that are translated together.
_TEXTS_AT_ONCE = 1000


def run(
    job: Job, screen: Screen, texts: Iterable[str], output: IO[str]
) -> None:
    """Runs a job.

    Args:
        job: its settings.
        screen: where to print.
        texts: what to translate if the job does nothing else.
        output: gets their translations, one per line.

    Raises:
        UserError: a flag or file is wrong; no existing file has been
            overwritten.
    """
    check_job(job)
    with open_session(job.output_dir, screen, job.distribution) as opened:
        folder = TranslatorFolder(opened.output_dir)
        folder.run.check_is_folder()
        evaluated = _evaluated_texts(job)
        if job.do_train:
            with opened.locked():
                _train(job, folder, opened, evaluated)
        decoding = Decoding(
            job.beam_size,
            job.length_penalty,
            job.eval_batch_size,
            job.concurrency,
        )
        if job.do_train and not (job.do_eval or job.export_dir):
            return
        translator = Translator.open(folder.run.path, decoding)
        if evaluated is not None:
            _evaluate(translator, evaluated, folder, screen)
        if job.export_dir is not None:
            from bert_keras3.translation.exported import export

            export(translator, job.export_dir)
            screen.say(f"exported to {job.export_dir}")
        if not (job.do_train or job.do_eval or job.export_dir):
            translate_lines(translator, texts, output)


def translate_lines(
    translator: Translator, texts: Iterable[str], output: IO[str]
) -> None:
    """Writes the translation of each line, as lines come.

    Args:
        translator: translates them.
        texts: lines, with or without their ends.
        output: gets a line for each.
    """
    block: list[str] = []

    def flush() -> None:
        output.writelines(f"{line}\n" for line in translator(block))
        output.flush()
        block.clear()

    for text in texts:
        block.append(text.strip())
        if len(block) == _TEXTS_AT_ONCE:
            flush()
    if block:
        flush()


# Checks and files.


def check_job(job: Job) -> None:
    """Checks the flags of a job.

    Raises:
        UserError: a value is out of its range, two flags contradict each
            other, or a package is missing.
    """
    for settings in (job, job.model, job.training):
        check_ranges(settings)
    files = job.files
    needed = {
        "do_train": ("source_file", "target_file"),
        "do_eval": ("eval_source_file", "eval_target_file"),
    }
    for purpose, names in needed.items():
        for name in names:
            if getattr(job, purpose) and getattr(files, name) is None:
                raise UserError(f"--{purpose} needs --{name}")
    computing = job.training.computing
    for name in ("jit_compile", "remat"):
        if getattr(computing, name):
            raise UserError(
                f"--{name}: encoder and decoder are not trained this way; "
                "leave it out"
            )
    if job.distribution != OFF:
        raise UserError(
            f"--distribution={job.distribution}: translators are trained on "
            "one device; leave it out"
        )
    if job.training.lazy_embeddings:
        raise UserError(
            "--lazy_embeddings: the output layer changes all word embeddings; "
            "leave it out"
        )
    if job.do_eval:
        bleu.require()
    if job.do_train:
        session.check_training(job.training, do_eval=job.do_eval)
    if job.export_dir is not None and pathlib.Path(job.export_dir).exists():
        raise UserError(
            f"--export_dir={job.export_dir}: exists and is not overwritten; "
            "give another name or remove it"
        )


def _evaluated_texts(job: Job) -> TextPairs | None:
    if not job.do_eval:
        return None
    files = job.files
    assert files.eval_source_file is not None
    assert files.eval_target_file is not None
    return read_pairs(
        files.eval_source_file, files.eval_target_file, files.encoding
    )


def _open_encoder(choices: TranslatorChoices) -> Checkpoint:
    """Opens the encoder to start from, with its vocabulary.

    Raises:
        UserError: there is none, or it cannot be used.
    """
    start = checkpointing.start_from(
        choices.init_checkpoint,
        choices.bert_config_file,
        choices.vocab_file,
        choices.do_lower_case,
    )
    if choices.max_seq_length > start.config.max_position_embeddings:
        raise UserError(
            f"--max_seq_length={choices.max_seq_length}: the model has "
            f"positions for {start.config.max_position_embeddings} tokens "
            "(`max_position_embeddings`); give at most that"
        )
    return start


def _checked(
    tokenizer: Any, vocab_file: Any, config_size: int | None
) -> FullTokenizer:
    """Checks that a vocabulary can be generated from.

    Raises:
        UserError: it is SentencePiece, lacks special tokens, or is larger
            than the model.
    """
    if not isinstance(tokenizer, FullTokenizer):
        raise UserError(
            f"{vocab_file}: translations are made of WordPiece tokens; give "
            "a vocab.txt, such as create_vocab.py makes"
        )
    require_special_tokens(tokenizer.vocab, vocab_file)
    size = max(tokenizer.vocab.values()) + 1
    if config_size is not None and size > config_size:
        raise UserError(
            f"{vocab_file}: has {size} tokens, and the model rows for "
            f"{config_size} (vocab_size); use the configuration and the "
            "vocabulary that belong together"
        )
    return tokenizer


# Training.


def _train(
    job: Job,
    folder: TranslatorFolder,
    opened: Session,
    evaluated: TextPairs | None,
) -> None:
    """Trains, or resumes; the best weights are in the folder then."""
    screen, choices, training = opened.screen, job.model, job.training
    opened.devices.check(
        training.train_batch_size,
        training.gradient_accumulation_steps,
        training.computing,
    )
    if not job.overwrite_output_dir:
        folder.run.refuse_foreign_files()
    start = _open_encoder(choices)
    source = _checked(
        start.tokenizer(), start.vocab_file, start.config.vocab_size
    )
    target = source
    if choices.target_vocab_file is not None:
        target = _checked(
            FullTokenizer(choices.target_vocab_file, source.do_lower_case),
            choices.target_vocab_file,
            None,
        )
    files = job.files
    assert files.source_file is not None
    assert files.target_file is not None
    texts = read_pairs(files.source_file, files.target_file, files.encoding)
    settings = TranslatorSettings(
        start.config,
        _decoder_config(start, choices, target),
        choices.decoder_positions,
        target is source,
        source.do_lower_case,
        choices.max_seq_length,
        learn_spacing(texts.targets, target),
    )
    with contextlib.ExitStack() as stack:

        def encoded(texts: TextPairs, what: str) -> Pairs:
            scratch = stack.enter_context(tempfile.TemporaryDirectory())
            pairs = encode_pairs(
                texts, source, target, choices.max_seq_length, scratch
            )
            for note in texts.notes:
                screen.say(note)
            screen.say(
                f"{len(pairs)} pairs to {what}"
                + (
                    f", without {pairs.num_too_long} that are longer than "
                    f"--max_seq_length={choices.max_seq_length}"
                    if pairs.num_too_long
                    else ""
                )
            )
            return pairs

        pairs = encoded(texts, "train on")
        dev = None if evaluated is None else encoded(evaluated, "evaluate on")
        make_deterministic(training.seed)
        with opened.making_model(training.computing.mixed_precision):
            model = settings.new_model()
        if start.has_weights:
            allowed = (
                _DECODER,
                *start.may_start_random,
                *choices.allow_missing,
            )
            screen.say(start.load_into(model, allowed).line())
        identity = {
            **identity_of(
                training,
                model,
                [
                    array
                    for part in (pairs, dev)
                    if part is not None
                    for store in (part.sources, part.targets)
                    for array in (store.arrays["input_ids"], store.offsets)
                ],
            ),
            "settings": settings.to_dict(),
        }
        begin(folder.run, identity, overwrite=job.overwrite_output_dir)
        folder.write(settings, source, target)
        batches = TrainingBatches(
            pairs, training.train_batch_size, training.seed
        )
        num_steps, epoch_ends = batches.steps(training.num_train_epochs)
        screen.say(
            f"{num_steps} steps, {batches.in_an_epoch} an epoch; "
            f"{model.count_params()} weights"
        )
        train(
            Plan(
                model=model,
                loss=objective(training.label_smoothing),
                batches=batches,
                identity=identity,
                save_weights=lambda optimizer: folder.save_weights(model),
                num_train_steps=num_steps,
                num_warmup_steps=training.num_warmup_steps,
                schedule=training.learning_rate_schedule,
                per_token=PER_TOKEN,
                evaluate=None
                if dev is None
                else LossOfPairs(
                    model, dev, job.eval_batch_size, job.concurrency
                ),
                epoch_ends=epoch_ends,
                best_metric="loss",
                concurrency=job.concurrency,
            ),
            training,
            folder.run,
            opened,
        )


def _decoder_config(
    start: Checkpoint, choices: TranslatorChoices, target: FullTokenizer
) -> Any:
    """Returns the encoder's configuration with the decoder's sizes."""
    config = copy.deepcopy(start.config)
    for name in ("embedding_size", "num_hidden_groups"):
        vars(config).pop(name, None)
    if choices.decoder_layers is not None:
        config.num_hidden_layers = choices.decoder_layers
    if choices.target_vocab_file is not None:
        config.vocab_size = max(target.vocab.values()) + 1
    return config


def objective(smoothing: float) -> Any:
    """Returns the loss of a batch, a mean over the target tokens.

    Args:
        smoothing: ε of the labels.

    Returns:
        (model, features, training) → float32 scalar.
    """

    def loss(
        model: EncoderDecoder, features: Mapping[str, Tensor], training: bool
    ) -> Tensor:
        logits, layout = model.token_logits(features, training)
        labels = layout.unpad(features["label_ids"])
        losses = label_smoothing_loss(logits, labels, smoothing)
        # Not by the number of labels in this part of a batch: the mean over
        # its parts is that of the whole.
        return ops.sum(losses) / ops.sum(features["labels_per_row"])

    return loss


class LossOfPairs:
    """The mean loss of a target token, without dropout and smoothing."""

    def __init__(
        self,
        model: EncoderDecoder,
        pairs: Pairs,
        batch_tokens: int,
        concurrency: int,
    ) -> None:
        """Takes what is evaluated.

        Args:
            model: its current weights count at each call.
            pairs: to evaluate on.
            batch_tokens: most tokens of a batch, padding included.
            concurrency: number of batches computed at the same time.
        """
        self._pairs = pairs
        self._batch_tokens = batch_tokens
        self._predictor = Predictor(
            model, _losses_of_rows, concurrency=concurrency
        )

    def __call__(self) -> dict[str, float]:
        """Returns `loss` and `perplexity`."""
        losses = self._predictor(
            batches_of_pairs(self._pairs, self._batch_tokens), len(self._pairs)
        )[_LOSSES]
        loss = float(losses.sum(dtype=np.float64)) / self._pairs.num_labels
        return {"loss": loss, "perplexity": math.exp(min(loss, 700.0))}


def _losses_of_rows(
    model: EncoderDecoder, features: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    logits, layout = model.token_logits(features)
    losses = log_likelihood_loss(logits, layout.unpad(features["label_ids"]))
    # [R] -> [R, 1] -> [B, T, 1] -> [B]
    padded = layout.pad(ops.expand_dims(losses, 1))
    return {_LOSSES: ops.sum(padded, axis=(1, 2))}


# Results.


def _evaluate(
    translator: Translator,
    texts: TextPairs,
    folder: TranslatorFolder,
    screen: Screen,
) -> None:
    """Translates the texts to evaluate on and writes BLEU."""
    found = translator(texts.sources)
    cased = bleu.score(found, texts.targets)
    lower = bleu.score(found, texts.targets, lowercase=True)
    values = {
        "bleu": cased.value,
        "bleu_lowercase": lower.value,
        "signature": cased.signature,
        "signature_lowercase": lower.signature,
        "num_texts": len(texts.sources),
    }
    folder.run.write_evaluation(values, values)
    rows: Sequence[Sequence[str]] = [
        (f"{one.value:.2f}", one.signature) for one in (cased, lower)
    ]
    screen.table(["BLEU", "signature of sacrebleu"], rows)
