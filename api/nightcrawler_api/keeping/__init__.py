"""What one replica at a time does to keep what runs leave: whose turn it is, what is noted on runs."""
