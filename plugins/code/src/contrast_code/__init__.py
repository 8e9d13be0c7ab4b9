"""contrast-recommendation: MCLRec and its relatives on sequential recommendation, as parts for contrast."""
