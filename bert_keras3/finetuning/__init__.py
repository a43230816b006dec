"""Fine-tuning: labelled data → a trained model, its metrics and predictions.

Each task, such as `single_label`, is one file; `job.py` runs a job.
"""
