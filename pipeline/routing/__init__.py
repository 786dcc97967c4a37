"""Which model may answer what: policies learnt from judged runs, checked on sequences they have not seen."""
