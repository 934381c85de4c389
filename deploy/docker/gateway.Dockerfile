# The gateway: a static program (make gateway) and nothing else.
#
#   make gateway && docker build -f deploy/docker/gateway.Dockerfile -t tocsin-gateway .
ARG BASE_IMAGE=gcr.io/distroless/static-debian12

FROM ${BASE_IMAGE}
COPY .build/bin/tocsin-gateway /usr/local/bin/tocsin-gateway
ARG VERSION=dev
ARG REVISION=
ARG CREATED=
LABEL org.opencontainers.image.title="Tocsin gateway" \
      org.opencontainers.image.description="The REST face of Tocsin, a self-hosted, contract-first event backbone." \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}"
ENV TOCSIN_VERSION=${VERSION} \
    TOCSIN_COMMIT=${REVISION} \
    TOCSIN_GATEWAY_LISTEN=0.0.0.0:8081 \
    TOCSIN_GATEWAY_GRPC_LISTEN=0.0.0.0:8082 \
    TOCSIN_METRICS_LISTEN=0.0.0.0:8009
USER 10001:10001
EXPOSE 8081 8082 8009
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=4s --start-period=10s CMD ["/usr/local/bin/tocsin-gateway", "healthcheck"]
ENTRYPOINT ["/usr/local/bin/tocsin-gateway"]
