# The platform itself, for build machines: the command line and the control unit.
# This is never the box. The code that a model writes runs in other containers,
# which this one has the engine make.
#
# So it needs an engine's socket at run time, and that means: whoever controls
# this container controls the engine, and on an ordinary engine that is root on
# its host. No code of a model ever runs in here, but give it a rootless engine
# where you can (its socket is $XDG_RUNTIME_DIR/docker.sock), or an engine on a
# machine that has nothing else on it.
#
#   docker build --tag l2mac .
#   docker run --rm --init --read-only --tmpfs /tmp --cap-drop ALL \
#       --security-opt no-new-privileges --env OPENAI_API_KEY \
#       --volume l2mac-home:/home/l2mac \
#       --volume /var/run/docker.sock:/var/run/docker.sock \
#       --group-add "$(stat -c %g /var/run/docker.sock)" \
#       l2mac run --image python:3.11 "a task"
#
# Plain Dockerfile syntax: the classic builder can build it.

# Any image with python3 3.11 or later, its venv module and pip.
ARG BASE=python:3.11-slim

FROM ${BASE} AS build
WORKDIR /build
RUN python3 -m venv /opt/l2mac && python3 -m venv /opt/build
# Locked, by hash, and before the code: a change of the code does not install anew.
COPY requirements.txt requirements-build.txt ./
RUN /opt/l2mac/bin/python -m pip install --no-cache-dir --disable-pip-version-check --require-hashes -r requirements.txt \
 && /opt/build/bin/python -m pip install --no-cache-dir --disable-pip-version-check --require-hashes -r requirements-build.txt
COPY . .
RUN /opt/build/bin/python -m hatchling build --target wheel \
 && /opt/l2mac/bin/python -m pip install --no-cache-dir --disable-pip-version-check --no-deps dist/*.whl

FROM ${BASE}
LABEL org.opencontainers.image.title="l2mac" \
      org.opencontainers.image.description="The l2mac command line and control unit; never the box" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /opt/l2mac /opt/l2mac
# Without useradd, which a minimal base does not have.
RUN echo 'l2mac:x:10001:10001:l2mac:/home/l2mac:/usr/sbin/nologin' >> /etc/passwd \
 && echo 'l2mac:x:10001:' >> /etc/group \
 && mkdir /home/l2mac \
 && chown 10001:10001 /home/l2mac
ENV PATH=/opt/l2mac/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    HOME=/home/l2mac \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
USER 10001:10001
WORKDIR /home/l2mac
# One command that ends by itself, not a service: its exit code tells all there is to know.
HEALTHCHECK NONE
ENTRYPOINT ["l2mac"]
CMD ["--help"]
