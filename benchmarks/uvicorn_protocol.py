"""`python -m app` with uvicorn's protocol as it comes: every request is a task, and head and body are written apart."""

from app import __main__ as service

service.PROTOCOL = "httptools"

if __name__ == "__main__":
    service.main()
