"""Continual spoken language understanding: COCONUT (NSPT, audio-text contrast), rehearsal, distillation."""
