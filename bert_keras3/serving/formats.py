"""Which formats there are, and which file each puts into a numbered folder.

No more than names, so that both who writes a format (`exporter`) and who asks
it (`runtimes`) can read them without loading the other's libraries.
"""

from __future__ import annotations

SAVED_MODEL = "saved_model"
SAVED_MODEL_FILE = "saved_model.pb"

# The formats that take ids; each is also the name of the extra it needs.
LITERT = "litert"
ONNX = "onnx"
MODEL_FILES = {LITERT: "model.tflite", ONNX: "model.onnx"}
# What lies beside those, the vocabulary apart.
DESCRIPTION_FILE = "classifier.json"

FORMATS = (SAVED_MODEL, *MODEL_FILES)

# The names of the ids, int32 [N, S] each, in every format.
ID_INPUTS = ("input_ids", "input_mask", "segment_ids")
