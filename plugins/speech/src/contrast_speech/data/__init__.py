"""Spoken utterances with intents and transcripts, read from corpora or generated, as a sequence of tasks."""
