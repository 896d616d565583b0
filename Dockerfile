# The service in a container: `docker compose up`, or `docker build -t sine-rnn-server .` and
# `docker run --init -p 8000:8000 sine-rnn-server`.
#
# The files that change most go in last, so a change of code installs nothing again.

FROM python:3.11-slim-bookworm AS requirements

# Take only the dependencies and the packages for traces, so other changes of pyproject.toml install nothing again. The
# client is copied below, because the service uses its messages. Its dependencies are among the others.
COPY pyproject.toml .
COPY client/pyproject.toml client.toml
RUN python -c "import tomllib; p, c = (tomllib.load(open(f, 'rb'))['project'] for f in ('pyproject.toml', 'client.toml')); \
               every = {*p['dependencies'], *p['optional-dependencies']['telemetry'], *c['dependencies']}; \
               print(*sorted(every - {c['name']}), sep='\n')" \
    > requirements.txt


FROM python:3.11-slim-bookworm AS packages

# An extra index of wheels for pip. On Linux, the torch wheel of pip's own index is a build for CUDA and needs gigabytes
# of libraries. For a CPU only, give the address of PyTorch's index of CPU wheels, as docker-compose.yml does. There, the
# version that constraints.txt asks for ends with `+cpu`, and pip prefers it.
ARG TORCH_INDEX_URL=

ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv --without-pip /opt/venv
COPY --from=requirements requirements.txt .
COPY constraints.txt .
RUN python -m pip --python /opt/venv/bin/python install \
        ${TORCH_INDEX_URL:+--extra-index-url "$TORCH_INDEX_URL"} -c constraints.txt -r requirements.txt \
    # Remove torch's C++ headers and its own tests: a seventh of the installed size
    && rm -rf /opt/venv/lib/python3*/site-packages/torch/include /opt/venv/lib/python3*/site-packages/torch/test


FROM python:3.11-slim-bookworm AS code

WORKDIR /srv
COPY app app
COPY client/sine_client sine_client
COPY model model
# Write the bytecode here, because the running service cannot write it. The files keep their modes from the checkout,
# where they may be readable by one user only, so make them readable for all.
RUN python -m compileall -q --invalidation-mode unchecked-hash . && chmod -R a+rX .


FROM python:3.11-slim-bookworm

LABEL org.opencontainers.image.title="sine-rnn-server" \
      org.opencontainers.image.description="Serves the forecasts of a recurrent network over HTTP" \
      org.opencontainers.image.licenses="MIT"

# The base image lacks the bytecode of Python's own library. Without it, every start takes 0.4 s longer.
RUN python -m compileall -q -x '/(site-packages|test|tests|idlelib|lib2to3|tkinter|turtledemo)/' /usr/local/lib/python3.11

COPY --from=packages /opt/venv /opt/venv
COPY --from=code /srv /srv
WORKDIR /srv

# Numba keeps the compiled kernel here. A volume in this place, as in docker-compose.yml, saves a second or two of each
# later start, and gets the owner of this folder. The service writes to /tmp too, and nowhere else.
RUN install -d -o 10001 -g 10001 /var/cache/sine

ENV PATH=/opt/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HOME=/tmp \
    NUMBA_CACHE_DIR=/var/cache/sine \
    SINE_HOST=0.0.0.0 \
    SINE_PORT=8000

# A numeric user, so an orchestrator can see that it is not root. It owns no file of the service.
USER 10001:10001
EXPOSE 8000
STOPSIGNAL SIGTERM
# http.client, because urllib.request would use a proxy that the environment names.
HEALTHCHECK --interval=5s --timeout=3s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import http.client, os, sys; c = http.client.HTTPConnection('localhost', int(os.environ.get('SINE_PORT') or 8000), timeout=2); c.request('GET', '/readyz'); sys.exit(c.getresponse().status != 200)"]
CMD ["python", "-m", "app"]
