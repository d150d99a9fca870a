# docker build -t ceiba .   See docs/how-to/serve.md for how to run it.
# With --build-arg EXTRAS=serve,transformer it serves models with an encoder too; torch makes it several gigabytes.
FROM python:3.12-slim AS build
ARG EXTRAS=serve
RUN apt-get update && apt-get install -y --no-install-recommends g++ && rm -rf /var/lib/apt/lists/*
WORKDIR /source
COPY . .
# all instruction sets: the image may run on another processor than this one
RUN pip wheel --no-cache-dir --wheel-dir /wheels --config-settings=cmake.define.CEIBA_ISAS=all ".[${EXTRAS}]"

FROM python:3.12-slim
ARG EXTRAS=serve
RUN --mount=type=bind,from=build,source=/wheels,target=/wheels \
    pip install --no-cache-dir --no-index --find-links /wheels "ceiba[${EXTRAS}]" \
    && useradd --system --no-create-home --uid 10001 ceiba
USER 10001
EXPOSE 8400
# the token is a file, so that no list of processes or variables shows it
ENTRYPOINT ["ceiba", "serve"]
CMD ["/model", "--host", "0.0.0.0", "--token", "/run/secrets/ceiba-token"]
HEALTHCHECK --interval=15s --timeout=3s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8400/healthz', timeout=2)"]
