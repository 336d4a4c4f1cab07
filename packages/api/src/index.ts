export type { AnyCodec, Codec, Field, Service, ServiceMethod } from './codec.ts'
export { ApiError, errorReason, errorTable, type ErrorReason, type ErrorRow } from './errors.ts'
export {
  decodeBase64,
  formatJson,
  JsonError,
  JsonNumber,
  JsonReader,
  parseJson,
  type JsonValue,
} from './json.ts'
export { decodeProposal, type Proposal } from './proposal.ts'
export { gatewayMethods, services } from './services.ts'
export { DecodeError, EMPTY, sizeOfVarint, writeVarint } from './wire.ts'
export * as authpb from './generated/authpb.ts'
export * as etcdserverpb from './generated/etcdserverpb.ts'
export * as healthpb from './generated/grpc-health-v1.ts'
export * as leasepb from './generated/leasepb.ts'
export * as membershippb from './generated/membershippb.ts'
export * as mvccpb from './generated/mvccpb.ts'
export * as raftpb from './generated/raftpb.ts'
export * as snappb from './generated/snappb.ts'
export * as v3electionpb from './generated/v3electionpb.ts'
export * as v3lockpb from './generated/v3lockpb.ts'
export * as walpb from './generated/walpb.ts'
