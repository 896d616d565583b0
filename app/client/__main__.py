"""`python -m app.client` is the former name of the command `sine`."""

from sine_client.__main__ import main

if __name__ == "__main__":
    main()
