# The service in a container: `docker compose up`, or `docker build -t sine-rnn-server .` and
# `docker run --init -p 8000:8000 sine-rnn-server`.
#
# What changes most goes in last: a change of code installs nothing again.

FROM python:3.11-slim-bookworm AS requirements

# The dependencies alone, and what exports traces, so that other changes of pyproject.toml install nothing again either.
COPY pyproject.toml .
RUN python -c "import tomllib; p = tomllib.load(open('pyproject.toml', 'rb'))['project']; \
               print(*p['dependencies'], *p['optional-dependencies']['telemetry'], sep='\n')" \
    > requirements.txt


FROM python:3.11-slim-bookworm AS packages

# An index of wheels for pip to search besides its own. On Linux, the torch wheel of pip's own index is a build for CUDA
# that brings gigabytes of libraries. For the CPU alone, give the address of PyTorch's index of CPU wheels, which its
# "Get started" page shows: the version that constraints.txt asks for has `+cpu` after it there, and pip prefers that.
ARG TORCH_INDEX_URL=

ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv --without-pip /opt/venv
COPY --from=requirements requirements.txt .
COPY constraints.txt .
RUN python -m pip --python /opt/venv/bin/python install \
        ${TORCH_INDEX_URL:+--extra-index-url "$TORCH_INDEX_URL"} -c constraints.txt -r requirements.txt \
    # torch's C++ headers and its own tests: a seventh of what was installed
    && rm -rf /opt/venv/lib/python3*/site-packages/torch/include /opt/venv/lib/python3*/site-packages/torch/test


FROM python:3.11-slim-bookworm AS code

WORKDIR /srv
COPY app app
COPY model model
# Bytecode is written here because nothing can write it when the service runs. Files have the modes that they had where
# the code was checked out, which may be for that user alone.
RUN python -m compileall -q --invalidation-mode unchecked-hash . && chmod -R a+rX .


FROM python:3.11-slim-bookworm

LABEL org.opencontainers.image.title="sine-rnn-server" \
      org.opencontainers.image.description="Serves the forecasts of a recurrent network over HTTP" \
      org.opencontainers.image.licenses="MIT"

# The base image comes without the bytecode of Python's own library; compiling it takes 0.4 s of every start.
RUN python -m compileall -q -x '/(site-packages|test|tests|idlelib|lib2to3|tkinter|turtledemo)/' /usr/local/lib/python3.11

COPY --from=packages /opt/venv /opt/venv
COPY --from=code /srv /srv
WORKDIR /srv

# Where Numba keeps the compiled kernel. A volume here, as Compose gives it, saves a second or two of each later start; it
# is made with this folder's owner. /tmp is the only other place that is written to.
RUN install -d -o 10001 -g 10001 /var/cache/sine

ENV PATH=/opt/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HOME=/tmp \
    NUMBA_CACHE_DIR=/var/cache/sine \
    SINE_HOST=0.0.0.0 \
    SINE_PORT=8000

# A number, so that an orchestrator can tell that it is not root. It owns no file here.
USER 10001:10001
EXPOSE 8000
STOPSIGNAL SIGTERM
# Not urllib.request, which would send this through a proxy that the environment names.
HEALTHCHECK --interval=5s --timeout=3s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import http.client, os, sys; c = http.client.HTTPConnection('localhost', int(os.environ.get('SINE_PORT') or 8000), timeout=2); c.request('GET', '/readyz'); sys.exit(c.getresponse().status != 200)"]
CMD ["python", "-m", "app"]
