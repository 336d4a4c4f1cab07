import { services } from '@etcd-ts/api'
import { Histogram } from './histogram.ts'
import type { Labels } from './labelled-values.ts'

/** Status codes by number, in the words of the label `grpc_code`. */
export const codeNames = [
  'OK',
  'Canceled',
  'Unknown',
  'InvalidArgument',
  'DeadlineExceeded',
  'NotFound',
  'AlreadyExists',
  'PermissionDenied',
  'ResourceExhausted',
  'FailedPrecondition',
  'Aborted',
  'OutOfRange',
  'Unimplemented',
  'Internal',
  'Unavailable',
  'DataLoss',
  'Unauthenticated',
] as const

const UNKNOWN_CODE = 2
const HANDLING_BOUNDS_SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]

/** The counters of one gRPC method. The fields may be counted up directly. */
export class GrpcMethodMetrics {
  readonly labels: Labels
  /** The labels with `grpc_code` for each code, as `handled` has them. */
  readonly labelsByCode: readonly Labels[]
  started = 0
  messagesReceived = 0
  messagesSent = 0
  /** By status code. */
  readonly handled = new Float64Array(codeNames.length)
  /** Only with `--metrics extensive`. */
  readonly seconds: Histogram | null

  constructor(service: string, method: string, type: string, extensive: boolean) {
    this.labels = { grpc_method: method, grpc_service: service, grpc_type: type }
    this.labelsByCode = codeNames.map((grpc_code) => ({ grpc_code, ...this.labels }))
    this.seconds = extensive ? new Histogram(HANDLING_BOUNDS_SECONDS) : null
  }

  /** A call has ended. */
  ended(code: number, seconds: number): void {
    const known = code < codeNames.length ? code : UNKNOWN_CODE
    this.handled[known] = (this.handled[known] ?? 0) + 1
    this.seconds?.observe(seconds)
  }
}

/** Services whose methods etcd shows only once they have been called. */
const shownLater = new Set(['v3lockpb.Lock', 'v3electionpb.Election'])

/** The counters of all gRPC methods. */
export class GrpcMetrics {
  readonly #methods = new Map<string, GrpcMethodMetrics>()
  readonly #extensive: boolean

  constructor(extensive: boolean) {
    this.#extensive = extensive
    for (const [service, methods] of Object.entries(services)) {
      if (shownLater.has(service)) continue
      for (const { path } of Object.values(methods)) this.method(path)
    }
  }

  /**
   * The counters of a method, made when asked for the first time: keep them beside its handler.
   *
   * @param path `/package.Service/Method` of a method that this program serves
   */
  method(path: string): GrpcMethodMetrics {
    let metrics = this.#methods.get(path)
    if (metrics === undefined) {
      const [, service = '', method = ''] = path.split('/')
      metrics = new GrpcMethodMetrics(service, method, typeOf(service, method), this.#extensive)
      this.#methods.set(path, metrics)
    }
    return metrics
  }

  all(): readonly GrpcMethodMetrics[] {
    return [...this.#methods.values()]
  }
}

function typeOf(service: string, method: string): string {
  const { clientStreaming = false, serverStreaming = false } = services[service]?.[method] ?? {}
  if (clientStreaming) return serverStreaming ? 'bidi_stream' : 'client_stream'
  return serverStreaming ? 'server_stream' : 'unary'
}
