export { type Fault, type FaultCall, FaultInjector } from './fault-injector.ts'
export { OutputLog } from './output-log.ts'
export { reservePort, reservePortBlock, reservePorts } from './ports.ts'
export {
  type ServerProgram,
  findProgram,
  ourCtlCommand,
  ourServer,
  realServer,
  repositoryRoot,
  sharedFolder,
  skipWithout,
} from './programs.ts'
export { ManualScope, type Scope, freeAfter } from './scope.ts'
export { SeededRandom } from './seeded-random.ts'
export { type ClusterSettings, type Exit, type ServerOptions, ServerProcess } from './server-process.ts'
export { ClusterMember } from './cluster-member.ts'
export {
  type ClusterFlags,
  type ClusterOptions,
  ClusterProcess,
  type JoinOptions,
  type MemberHash,
} from './cluster-process.ts'
export { eventually } from './eventually.ts'
export { bootstrapMemberId, hexOfId } from './member-id.ts'
export { type Cut, PeerLinks } from './peer-links.ts'
export { SimClock } from './sim-clock.ts'
export { type LinkOptions, SimNetwork } from './sim-network.ts'
export { makeTempDir } from './temp-dir.ts'
export { type CallOptions, GrpcClient, GrpcError, type UnaryMethod, withoutHeader } from './grpc-client.ts'
export { type HttpAnswer, HttpClient } from './http-client.ts'
export { GrpcKvClient, JsonKvClient, type KvClient, type KvExchange } from './kv-clients.ts'
export { withoutOpenChoices } from './kv-compare.ts'
export { KvGenerator, type KvGeneratorOptions, type KvState } from './kv-generator.ts'
export { KvModel, type KvModelOptions } from './kv-model.ts'
export * from './kv-types.ts'
export { decodeResult, encodeCall, fromBytes, kvMethods, toBytes } from './kv-wire.ts'
export { LedgerWrites, ledgerCall } from './ledger-writes.ts'
export { type LedgerWrite, WriteLedger } from './write-ledger.ts'
export { WriteLoad, type WriteLoadOptions } from './write-load.ts'
export { show } from './show.ts'
export { type SimDiskCall, type SimDiskFault, SimCrashError, SimDisk } from './sim-disk.ts'
export { type SimBackendCall, type SimBackendFault, SimBackendFile, simImporter } from './sim-backend.ts'
export {
  type SimEnd,
  type SimFaults,
  type SimHostOptions,
  type SimIoCall,
  type SimTime,
  SimHost,
  SimProcess,
} from './sim-member.ts'
export { HistoryError, KvHistory, type KvObservation, type RecordedCall } from './sim-member-history.ts'
export { type CheckOptions, checkCluster } from './cluster-check.ts'
export {
  ConcurrentHistory,
  type HistoryCall,
  type Outcome,
  compareAndSet,
  isRefusal,
} from './concurrent-history.ts'
export { HistoryClient } from './history-client.ts'
export {
  type SearchOptions,
  type Specification,
  type TimedOperation,
  type Verdict,
  type Violation,
  checkLinearizable,
  partitionBy,
} from './linearizability.ts'
export { type RegisterInput, type RegisterOutput, registerSpecification } from './register.ts'
export { type RevisionReport, type StoreEvent, type StoreRevision, checkRevisions } from './revision-order.ts'
export { readStoreRevisions } from './store-revisions.ts'
export { type Anomaly, type ListStep, type ListTransaction, findAnomalies } from './transaction-cycles.ts'
export { Workload, type WorkloadOptions, type WorkloadStep, listSteps, registerSteps } from './workload.ts'
