# Operator and gateways: one file on a Node without shell or package manager. The command after the entry point says which.
#
#   docker build -t REGISTRY/qwen-coder-operator:0.1.0 .
#
# Both images can come from a mirror, and should be pinned by digest where images are built for production:
#   --build-arg BUILD_IMAGE=MIRROR/node:24-bookworm-slim@sha256:… --build-arg RUN_IMAGE=…
ARG BUILD_IMAGE=node:24-bookworm-slim
ARG RUN_IMAGE=gcr.io/distroless/nodejs24-debian13:nonroot

FROM ${BUILD_IMAGE} AS build
WORKDIR /build
COPY package.json package-lock.json .npmrc ./
# No script of a dependency runs; the bundler's native part comes as a package.
RUN npm ci --ignore-scripts
COPY src ./src
RUN npm run build

FROM ${RUN_IMAGE}
LABEL org.opencontainers.image.title="qwen-coder-operator" org.opencontainers.image.licenses="Apache-2.0"
COPY LICENSE /
COPY --from=build /build/dist/ /app/
# By number, so that runAsNonRoot can be checked without looking into the image.
USER 65532:65532
# Gateways: clients, the operator. Both: probes and metrics.
EXPOSE 8000 8001 8080
# One malloc arena and a small young generation: an operator waits most of its time. What gateways need instead is in their pods.
ENV MALLOC_ARENA_MAX=1
ENV NODE_OPTIONS=--max-semi-space-size=1
# It writes no file, starts no process and no thread; with --permission it cannot either.
ENTRYPOINT ["/nodejs/bin/node", "--permission", "--allow-fs-read=*", "/app/qwen-coder.mjs"]
