"""Self-contained HTML pages: one file with its data, styles and script.

Nothing is loaded from a network. What users wrote reaches a page as JSON whose
`<` are escaped, and is set as text by the script, so that a text that is
`<script>` shows as such.
"""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Mapping, Sequence
from typing import Any

import jinja2
import numpy as np
from markupsafe import Markup

from bert_keras3.explaining.attention import ROLES, TextAttention
from bert_keras3.explaining.attributions import (
    INTEGRATED_GRADIENTS,
    TOLERANCE,
)
from bert_keras3.explaining.explainer import Explanation
from bert_keras3.inputs.examples import InputExample

_PACKAGE = "bert_keras3.explaining"
# Of shades from 0 to this.
_DARKEST = 255


def attention_page(
    attention: TextAttention,
    roles: np.ndarray,
    *,
    model: str,
    measured_on: str,
) -> str:
    """Returns the page of a text's attention.

    Args:
        attention: of the text.
        roles: float [L, N, `len(ROLES)`].
        model: what the model is called.
        measured_on: of which texts the roles are.
    """
    return rendered(
        "attention.html",
        {
            "tokens": attention.tokens,
            "segments": attention.segment_ids,
            "shape": attention.maps.shape,
            "maps": _shades(attention.maps),
            "rollout": _shades(attention.rollout),
            "roles": ROLES,
            "shares": np.round(roles, 4).tolist(),
        },
        model=model,
        measured_on=measured_on,
        num_dropped=attention.num_dropped,
    )


def explanation_page(
    examples: Sequence[InputExample],
    explained: Sequence[Sequence[Explanation]],
    *,
    model: str,
    method: str,
) -> str:
    """Returns the page of what made the answers to some texts.

    Args:
        examples: N texts or pairs.
        explained: the explanations of each.
        model: what the model is called.
        method: one of `attributions.METHODS`.
    """
    return rendered(
        "explanation.html",
        {
            "answers": [
                {
                    "id": example.guid,
                    "label": one.label,
                    "tokens": one.tokens,
                    "segments": one.segment_ids,
                    "scores": [_short(score) for score in one.scores],
                    "value": round(one.value, 3),
                    "absent": round(one.absent_value, 3),
                    "places": one.places,
                    "error": round(one.error, 4),
                    "columns": [
                        (f"{name}: {value or '—'}", _short(score))
                        for (name, value), score in zip(
                            one.columns, one.column_scores, strict=True
                        )
                    ],
                }
                for example, answers in zip(examples, explained, strict=True)
                for one in answers
            ],
            "tolerance": TOLERANCE,
        },
        model=model,
        method=method,
        sums=method == INTEGRATED_GRADIENTS,
    )


def _short(score: float) -> float:
    """Returns a score with three digits, however small it is."""
    return float(f"{score:.3g}")


def rendered(
    template: str,
    data: Mapping[str, Any],
    *,
    package: str = _PACKAGE,
    **values: object,
) -> str:
    """Returns a page.

    Args:
        template: the name of its template.
        data: what its script reads.
        package: whose templates these are; `base.html` is here.
        **values: what the template names.
    """
    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader(
            [jinja2.PackageLoader(one) for one in (package, _PACKAGE)]
        ),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(
        data=json_for_script(data), **values
    )


def json_for_script(data: Any) -> Markup:
    """Returns JSON that may stand in a `<script>` element."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)


def _shades(probabilities: np.ndarray) -> str:
    """Returns probabilities as gzip of bytes, in base64.

    A byte is 255 times the square root, rounded: small probabilities differ
    by 1/65,000, large ones by 1/128, which is more than an eye can tell.
    """
    shades = np.round(np.sqrt(np.clip(probabilities, 0, 1)) * _DARKEST)
    packed = gzip.compress(shades.astype(np.uint8).tobytes(), mtime=0)
    return base64.b64encode(packed).decode("ascii")
