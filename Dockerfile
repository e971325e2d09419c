# syntax=docker/dockerfile:1
# The gate as an image: docker build -t portcullis .
#
# The version of the base is pinned; to pin its content too, take the digest of what you tested:
#   docker buildx imagetools inspect node:22.23.3-alpine --format '{{.Manifest.Digest}}'
#   docker build --build-arg NODE_IMAGE=node:22.23.3-alpine@sha256:<digest> -t portcullis .
ARG NODE_IMAGE=node:22.23.3-alpine

FROM ${NODE_IMAGE} AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc tsconfig.json ./
# Scripts of dependencies are not needed, and not trusted with the build.
RUN npm ci --ignore-scripts
COPY ops ops
COPY src src
RUN npm run build && npm prune --omit=dev --ignore-scripts

FROM ${NODE_IMAGE}
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="portcullis" \
      org.opencontainers.image.description="The gate between AI agents and the systems they act on." \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
WORKDIR /app
# All that is written is below /data, so the root may be read-only.
ENV NODE_ENV=production HOST=0.0.0.0 PORT=8787 DATA_DIR=/data PLANS_DIR=/data/plans LOG_FILE=""
COPY --from=build /app/node_modules node_modules
COPY --from=build /app/dist dist
COPY package.json LICENSE ./
COPY bin bin
COPY ops/demo ops/demo
COPY ops/init ops/init
COPY schemas schemas
COPY policies policies
RUN mkdir -p /data && chown node:node /data
USER node
VOLUME /data
EXPOSE 8787
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s \
  CMD wget -qO /dev/null "http://127.0.0.1:${PORT}/healthz" || exit 1
ENTRYPOINT ["node", "bin/portcullis.js"]
CMD ["start"]
