"""A file system of Apache Beam: a folder of this machine, under `words://`.

As in object stores, folders are not made and there is nothing to rename over.
"""

from __future__ import annotations

import os
import zlib

from apache_beam.io.filesystem import BeamIOError
from apache_beam.io.localfilesystem import LocalFileSystem

TOP = ""
SCHEME = "words://"


def local(path):
    return os.path.join(TOP, path.removeprefix(SCHEME))


class WordsFileSystem(LocalFileSystem):
    @classmethod
    def scheme(cls):
        return "words"

    def mkdirs(self, path):
        os.makedirs(local(path), exist_ok=True)

    def exists(self, path):
        return super().exists(local(path))

    def create(self, path, *args, **kinds):
        return super().create(local(path), *args, **kinds)

    def open(self, path, *args, **kinds):
        return super().open(local(path), *args, **kinds)

    def match(self, patterns, limits=None):
        results = super().match([local(one) for one in patterns], limits)
        for result, pattern in zip(results, patterns, strict=True):
            result.pattern = pattern
            for one in result.metadata_list:
                one.path = SCHEME + os.path.relpath(one.path, TOP)
        return results

    def rename(self, sources, targets):
        for target in targets:
            if os.path.exists(local(target)):
                raise BeamIOError(f"{target} is there")
        super().rename([*map(local, sources)], [*map(local, targets)])

    def checksum(self, path):
        with open(local(path), "rb") as file:
            return str(zlib.crc32(file.read()))

    def delete(self, paths):
        for path in paths:
            os.remove(local(path))
