"""One model on thousands of logs: in processes of this machine or on a Ray cluster, resumable, parquet out."""
