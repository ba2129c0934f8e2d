# One image with both programs; the command says which: nightcrawler-operator (as it is) or nightcrawler-api.
#
#   docker build --tag nightcrawler.dev/nightcrawler:0.1.0 .
#
# What runs is copied onto an empty root: interpreter, libraries, programs. There is no shell and no package
# manager in it. The syntax is that of buildah 1.28 (Debian 12), which `make images` uses where no Docker is.
ARG BASE=docker.io/library/python:3.11-slim-bookworm

FROM ${BASE} AS build
# Where pip finds packages, for networks that reach them by a mirror or through a proxy with its own certificate.
ARG PIP_INDEX_URL=
ARG PIP_EXTRA_INDEX_URL=
ARG PIP_CERT=
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore PYTHONDONTWRITEBYTECODE=1
WORKDIR /src
# The dependencies come first, so that a change of the sources does not install them again.
COPY pyproject.toml ./
RUN python3 -m venv /opt/nightcrawler && python3 -m venv /opt/tools
RUN python3 -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["dependencies"], sep="\n")' \
        >requirements.txt \
    && /opt/nightcrawler/bin/pip install --quiet --no-compile --requirement requirements.txt \
    && /opt/tools/bin/pip install --quiet --no-compile build hatchling cyclonedx-bom
COPY LICENSE ./
COPY crds crds
COPY operator operator
COPY api api
# The description on a package index is all that the README is for here, and no reason to build again.
RUN touch README.md \
    && /opt/tools/bin/python -m build --no-isolation --wheel --outdir /wheel . >/dev/null \
    && /opt/nightcrawler/bin/pip install --quiet --no-compile --no-deps /wheel/*.whl \
    && /opt/tools/bin/cyclonedx-py environment --output-reproducible --output-file /sbom.json \
        --pyproject pyproject.toml /opt/nightcrawler/bin/python \
    && /opt/nightcrawler/bin/pip uninstall --quiet --yes pip setuptools
COPY hack/container/assemble.py ./
RUN python3 assemble.py /opt/nightcrawler /sbom.json /image \
    && chroot /image /opt/nightcrawler/bin/nightcrawler-api --version \
    && chroot /image /opt/nightcrawler/bin/python -c 'import kubernetes.aio.client, nightcrawler_operator.__main__'

FROM scratch
ARG VERSION=
ARG REVISION=
COPY --from=build /image /
ENV PATH=/opt/nightcrawler/bin LANG=C.UTF-8 PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /
# A number, so that the kubelet can tell that it is not root.
USER 65532:65532
# The facade's port, and the operator's for probes and metrics.
EXPOSE 8080 8081
LABEL org.opencontainers.image.title="Nightcrawler" \
      org.opencontainers.image.description="CPU and GPU workflows on Kubernetes: operator and REST API" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.base.name="docker.io/library/python:3.11-slim-bookworm" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      dev.nightcrawler.sbom="/usr/share/doc/nightcrawler/sbom.cdx.json"
CMD ["nightcrawler-operator"]
