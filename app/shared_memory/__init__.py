"""What the workers of one machine share: files that each of them maps into its memory."""
