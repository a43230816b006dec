"""The export formats, and the names of their files.

Only names, so that the exporter and the runtimes share them without importing
each other's libraries.
"""

from __future__ import annotations

SAVED_MODEL = "saved_model"
SAVED_MODEL_FILE = "saved_model.pb"

# The formats that take token ids; each needs the extra of the same name.
LITERT = "litert"
ONNX = "onnx"
MODEL_FILES = {LITERT: "model.tflite", ONNX: "model.onnx"}
# Beside those lie this file and the vocabulary.
DESCRIPTION_FILE = "classifier.json"

FORMATS = (SAVED_MODEL, *MODEL_FILES)

# The inputs of a model in every format, int32 [N, S] each.
ID_INPUTS = ("input_ids", "input_mask", "segment_ids")
