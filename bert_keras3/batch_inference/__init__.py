"""Batch inference beyond one machine: shards of rows → shards of answers.

An Apache Beam pipeline gives each file of the input to a worker, which keeps
one model in memory and writes one file of answers for it.
"""
