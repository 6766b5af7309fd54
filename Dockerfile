# syntax=docker/dockerfile:1
# One image with all three binaries; a broker by default, a node with:
#   docker run brainer run_node --broker tcp://broker:9620 --node-endpoint tcp://0.0.0.0:9620 --allow-plain-tcp
# Both go without keys and protected mode, as Redis's image does without the latter: what is not
# published is reached from the containers of their network alone. Publish 6379 with a password
# (BRAINER_REQUIREPASS), and 9620 never without keys (README.md, Security).
# deploy/dockerfile_test.go runs the build commands below.

FROM golang:1.26-bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends libzmq3-dev && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=dev
ARG REVISION=unknown
RUN CGO_ENABLED=1 go build -trimpath -ldflags "-s -w -X main.version=${VERSION} -X main.revision=${REVISION}" -o /out/ ./cmd/run_broker ./cmd/run_node ./cmd/brainer-cli

FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends libzmq5 && rm -rf /var/lib/apt/lists/* \
 && useradd --system --uid 10001 --user-group --no-create-home --home-dir /var/lib/brainer brainer \
 && install -d -o brainer -g brainer -m 0700 /var/lib/brainer
COPY --from=build /out/ /usr/local/bin/
USER 10001:10001
VOLUME /var/lib/brainer
WORKDIR /var/lib/brainer
# RESP, ZeroMQ, the broker's metrics, a node's metrics
EXPOSE 6379 9620 9621 9622
STOPSIGNAL SIGTERM
# A node's container replaces this check (see deploy/compose.yaml).
HEALTHCHECK --interval=5s --timeout=3s --start-period=10s --retries=3 \
  CMD brainer-cli "redis://${BRAINER_REQUIREPASS:+:$BRAINER_REQUIREPASS@}127.0.0.1:6379" PING
CMD ["run_broker", "--listen", "0.0.0.0:6379", "--broker", "tcp://0.0.0.0:9620", "--metrics", "0.0.0.0:9621", "--state-dir", "/var/lib/brainer", "--protected-mode", "no", "--allow-plain-tcp"]
