# An image for every machine of a Ray cluster: docker build -f docs/how-to/ray.Dockerfile -t REGISTRY/ceiba-ray:0.1.0 .
# The version of Ray is that of the cluster files beside this one.
FROM rayproject/ray:2.60.0-py312
COPY --chown=ray:users . /home/ray/ceiba
# all instruction sets: machines may have different processors
RUN pip install --no-cache-dir "/home/ray/ceiba[ray]" --config-settings=cmake.define.CEIBA_ISAS=all
