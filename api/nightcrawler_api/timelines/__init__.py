"""When the steps of an execution could start, started and ended."""
