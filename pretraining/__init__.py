"""Which question is asked of raw text: words masked, sentences put in order.

Text becomes a `corpus` on disk (`documents` reads it, `words` finds the
words), `segments` draws sentences from it, `masking` hides some of their
words, `instances` puts the numbers under the records' keys. `original` does
so in the original's order of chance, `shards` with many workers.
"""
