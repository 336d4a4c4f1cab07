import { ApiError, errorReason } from '@etcd-ts/api'
import { Code, GrpcError } from '@etcd-ts/grpc'

const codeNames: Readonly<Record<number, string>> = {
  ...Object.fromEntries(Object.entries(Code).map(([name, code]) => [code, name])),
  [Code.Ok]: 'OK',
  [Code.Cancelled]: 'Canceled', // one l: the words are those of Go's clients
}

/** A call that failed with a status that is none of etcd's own errors. */
export class RpcError extends Error {
  override readonly name = 'RpcError'
  /** gRPC status code. */
  readonly code: number
  /** The status message. */
  readonly detail: string

  constructor(code: number, detail: string, options?: ErrorOptions) {
    super(statusText(code, detail), options)
    this.code = code
    this.detail = detail
  }
}

/** A status in the words that etcd's users and their logs know. */
export function statusText(code: number, detail: string): string {
  return `rpc error: code = ${codeNames[code] ?? `Code(${code})`} desc = ${detail}`
}

/** What a failed call throws: an ApiError for etcd's errors, a RpcError for other statuses. */
export function clientError(error: unknown): Error {
  if (!(error instanceof GrpcError)) return error instanceof Error ? error : new Error(String(error))
  if (error.code === Code.DeadlineExceeded) return new ApiError('contextDeadlineExceeded', { cause: error })
  const reason = errorReason(error.message)
  if (reason !== undefined) return new ApiError(reason, { cause: error })
  return new RpcError(error.code, error.message, { cause: error })
}
