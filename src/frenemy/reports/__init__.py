"""What is shown: records, tables, curves and the page; numbers only, never a model."""
