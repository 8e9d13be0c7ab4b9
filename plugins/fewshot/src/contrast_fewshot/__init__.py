"""Few-shot classification without labels: BECLR and its episodes, on contrast."""
