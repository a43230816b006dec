"""Raw text becomes records: sentences put together, words masked.

To be read in this order: `documents` (files to sentences), `words` (sentences
to token ids), `corpus` (a tokenized text on disk), `segments` (which sentences
make an instance), `masking` (which tokens are masked), `instances` (arrays
under the records' keys), `original_order` and `independent_order` (the two
orders of random draws), `preparation` (the whole job).
"""
