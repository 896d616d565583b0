"""`python -m app` with uvicorn's protocol as it comes, which writes the head and the body of each answer apart."""

from app import __main__ as service

service.PROTOCOL = "httptools"

if __name__ == "__main__":
    service.main()
