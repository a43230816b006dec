"""The protocol buffers of TensorFlow's files, declared without TensorFlow.

    IndexEntry.FromString(bytes).shape.dim[0].size

Its own classes come with an import of all of TensorFlow, which takes seconds
and more memory than any of BERT's arrays. Here are the fields that checkpoints
are read by and written with; others in a file are passed over.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from google.protobuf import (  # type: ignore[import-untyped]
    descriptor_pb2,
    descriptor_pool,
    message_factory,
)

_PACKAGE = "bert_keras3"
_Field = descriptor_pb2.FieldDescriptorProto
_KINDS = {
    "bool": _Field.TYPE_BOOL,
    # Enums are written like numbers.
    "int32": _Field.TYPE_INT32,
    "int64": _Field.TYPE_INT64,
    "fixed32": _Field.TYPE_FIXED32,
    "string": _Field.TYPE_STRING,
}
_REPEATED = "repeated "

# Message → field → its number and its kind: one of _KINDS or a message here.
MESSAGES: Mapping[str, Mapping[str, tuple[int, str]]] = {
    # tensor_bundle.proto: the records of an index.
    "BundleHeaderProto": {
        "num_shards": (1, "int32"),
        "endianness": (2, "int32"),
        "version": (3, "VersionDef"),
    },
    "VersionDef": {"producer": (1, "int32")},
    "BundleEntryProto": {
        "dtype": (1, "int32"),
        "shape": (2, "TensorShapeProto"),
        "shard_id": (3, "int32"),
        "offset": (4, "int64"),
        "size": (5, "int64"),
        "crc32c": (6, "fixed32"),
        "slices": (7, "repeated TensorSliceProto"),
    },
    "TensorShapeProto": {
        "dim": (2, "repeated Dim"),
        "unknown_rank": (3, "bool"),
    },
    "Dim": {"size": (1, "int64")},
    "TensorSliceProto": {},
    # trackable_object_graph.proto: which variable is what.
    "TrackableObjectGraph": {"nodes": (1, "repeated TrackableObject")},
    "TrackableObject": {
        "children": (1, "repeated ObjectReference"),
        "attributes": (2, "repeated SerializedTensor"),
    },
    "ObjectReference": {"node_id": (1, "int32"), "local_name": (2, "string")},
    "SerializedTensor": {
        "full_name": (2, "string"),
        "checkpoint_key": (3, "string"),
    },
    # saved_model.proto, and what it is made of.
    "SavedModel": {"meta_graphs": (2, "repeated MetaGraphDef")},
    "MetaGraphDef": {
        "graph_def": (2, "GraphDef"),
        "signature_def": (5, "repeated SignatureDefEntry"),
        "asset_file_def": (6, "repeated AssetFileDef"),
        "object_graph_def": (7, "SavedObjectGraph"),
    },
    "GraphDef": {
        "node": (1, "repeated NodeDef"),
        "library": (2, "FunctionDefLibrary"),
    },
    "NodeDef": {"op": (2, "string")},
    "FunctionDefLibrary": {"function": (1, "repeated FunctionDef")},
    "FunctionDef": {"node_def": (3, "repeated NodeDef")},
    # Of a map from names to signatures.
    "SignatureDefEntry": {"key": (1, "string")},
    "AssetFileDef": {"filename": (2, "string")},
    "SavedObjectGraph": {"nodes": (1, "repeated SavedObject")},
    "SavedObject": {
        "children": (1, "repeated ObjectReference"),
        "asset": (5, "SavedAsset"),
    },
    "SavedAsset": {"asset_file_def_index": (1, "int32")},
}


def _classes() -> Mapping[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(
        name=f"{_PACKAGE}/tensorflow_messages.proto",
        package=_PACKAGE,
        syntax="proto3",
    )
    for message, fields in MESSAGES.items():
        declared = file.message_type.add(name=message)
        for name, (number, kind) in fields.items():
            of = kind.removeprefix(_REPEATED)
            is_message = of not in _KINDS
            declared.field.add(
                name=name,
                number=number,
                label=_Field.LABEL_OPTIONAL
                if of == kind
                else _Field.LABEL_REPEATED,
                type=_Field.TYPE_MESSAGE if is_message else _KINDS[of],
                type_name=f".{_PACKAGE}.{of}" if is_message else None,
            )
    # A pool of its own, since TensorFlow's names may be in the common one.
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        message: message_factory.GetMessageClass(
            pool.FindMessageTypeByName(f"{_PACKAGE}.{message}")
        )
        for message in MESSAGES
    }


_CLASSES = _classes()
# Messages are made by a library at run time, so they have no static type.
Header: Any = _CLASSES["BundleHeaderProto"]
IndexEntry: Any = _CLASSES["BundleEntryProto"]
ObjectGraph: Any = _CLASSES["TrackableObjectGraph"]
SavedModel: Any = _CLASSES["SavedModel"]
