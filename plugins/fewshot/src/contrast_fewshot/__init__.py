"""contrast-fewshot: BECLR and few-shot episodes, as parts for contrast."""
