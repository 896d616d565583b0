"""What this project is measured with: the load generator, the rival servers, and what is drawn from both."""
