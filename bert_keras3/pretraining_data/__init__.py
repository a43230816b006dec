"""Raw text becomes records: sentences put together, words masked.

Text becomes a `corpus` on disk (`documents` reads it, `words` finds the
words), `segments` draws sentences from it, `masking` hides some of their
words, `instances` puts the numbers under the records' keys. `original` does
so in the original's order of random draws, `shards` with many workers.
"""
