import { ApiError, etcdserverpb } from '@etcd-ts/api'
import type { Method, UnaryCall } from '@etcd-ts/grpc'
import { statusOf } from './respond.ts'

type UnaryMethod = Extract<Method, { readonly kind: 'unary' }>

export interface GuardPorts {
  /** Whether the member has ended, and its state must not be touched any more. */
  isStopped(): boolean
  /** Whether the cluster's version is known, before which no v3 call is answered. */
  isCapable(): boolean
  isLearner(): boolean
  hasLeader(): boolean
}

const RANGE = etcdserverpb.KVService.Range.path
const servedByLearners = new Set<string>([
  etcdserverpb.MaintenanceService.Status.path,
  etcdserverpb.MaintenanceService.Snapshot.path,
])

function isServedByLearner(path: string, request: Uint8Array): boolean {
  if (path === RANGE) return etcdserverpb.RangeRequest.decode(request).serializable
  return servedByLearners.has(path)
}

/**
 * Puts before each unary method what etcd checks before all of them, in its order: the cluster's version is known, a
 * learner serves little, and a client that asked for a leader (`hasleader: true`) gets none of a member without one.
 */
export function guarded(
  methods: Iterable<readonly [path: string, method: Method]>,
  ports: GuardPorts,
): [path: string, method: Method][] {
  return [...methods].map(([path, method]) => [
    path,
    method.kind === 'stream' ? method : guard(path, method, ports),
  ])
}

function guard(path: string, method: UnaryMethod, ports: GuardPorts): UnaryMethod {
  const handle = (call: UnaryCall, request: Uint8Array): void => {
    try {
      if (ports.isStopped()) throw new ApiError('stopped')
      if (!ports.isCapable()) throw new ApiError('notCapable')
      if (ports.isLearner() && !isServedByLearner(path, request)) throw new ApiError('notSupportedForLearner')
      if (!ports.hasLeader() && call.metadata.get('hasleader') === 'true') throw new ApiError('noLeader')
    } catch (error) {
      call.fail(statusOf(error))
      return
    }
    method.handle(call, request)
  }
  return { kind: 'unary', handle }
}
