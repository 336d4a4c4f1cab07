export { Code, type Status } from './status.ts'
export type {
  CallContext,
  CancelReason,
  Metadata,
  Method,
  ServiceTable,
  StreamCall,
  UnaryCall,
} from './service.ts'
export { GrpcServer, type GrpcServerOptions, type GrpcServerStats, type ServerKeepalive } from './server.ts'
export { GrpcClient, type ClientKeepalive, type ClientStream, type GrpcClientOptions } from './client.ts'
export type { CallOptions } from './client-call.ts'
export { GrpcError, type GrpcErrorOptions } from './grpc-error.ts'
export { MetadataList } from './metadata.ts'
export type { MethodStats } from './method-table.ts'
export { defaultLimits, type Limits } from './limits.ts'
export { sniff, type SniffHandlers } from './sniff.ts'
