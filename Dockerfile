# The server and etcdctl, without what only builds and tests need.
#
#   docker build -t etcd-ts .
#   docker run -p 2379:2379 -v etcd-data:/var/lib/etcd etcd-ts
#
# compose.yaml runs three members.
FROM node:20-slim AS build
WORKDIR /opt/etcd
COPY . .
RUN npm ci --no-audit --no-fund \
 && npm run build -- --clean \
 && npm prune --omit=dev --no-audit --no-fund \
 && rm -rf tests packages/testkit scripts packages/*/src packages/*/scripts packages/*/testdata \
 && find packages node_modules/@etcd-ts -xtype l -delete \
 && find packages \( -name '*.test.js' -o -name '*.d.ts' -o -name '*.map' -o -name '*.tsbuildinfo' \) -delete

FROM node:20-slim
ENV NODE_ENV=production
COPY --from=build /opt/etcd /opt/etcd
RUN ln -s /opt/etcd/bin/etcd /opt/etcd/bin/etcdctl /usr/local/bin/ \
 && install -d -o node -g node /var/lib/etcd
USER node
# Without --data-dir a member keeps its data in NAME.etcd of the working directory.
WORKDIR /var/lib/etcd
VOLUME /var/lib/etcd
EXPOSE 2379 2380
HEALTHCHECK --interval=10s --timeout=6s --start-period=30s CMD ["etcdctl", "endpoint", "health"]
CMD ["etcd", "--listen-client-urls=http://0.0.0.0:2379", "--advertise-client-urls=http://0.0.0.0:2379"]
