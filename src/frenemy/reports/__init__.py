"""What is shown: records, tables, curves and the page; numbers only, never a model.

`words` (what the numbers are called and how they are written) and `svg` (how anything is drawn) are the ground
of this floor; `curve`, `gallery`, `verdicts`, `record` and `table` each make one thing; `page` and `publish`
put them together. `panel` and `relief` describe figures, which `sheet` puts on a page and `paper` into PDF.
"""
