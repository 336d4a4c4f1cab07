import { Code, type Status } from './status.ts'
import type { Metadata } from './service.ts'
import { MetadataList } from './metadata.ts'

export interface GrpcErrorOptions {
  /** Encoded `google.rpc.Status`. */
  readonly details?: Uint8Array
  /** Trailing metadata that came with the status. */
  readonly metadata?: Metadata
  /** The server has certainly not seen the call: it may be sent again. */
  readonly unprocessed?: boolean
  readonly cause?: unknown
}

/** A call that ended with another status than OK. It is a `Status` itself and may be given to `fail` and `end`. */
export class GrpcError extends Error implements Status {
  override readonly name = 'GrpcError'
  readonly code: number
  declare readonly details?: Uint8Array
  readonly metadata: Metadata
  readonly unprocessed: boolean

  constructor(code: number, message: string, options: GrpcErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    if (options.details !== undefined) this.details = options.details
    this.metadata = options.metadata ?? MetadataList.empty
    this.unprocessed = options.unprocessed ?? false
  }
}

/** The status that a service's exception becomes. */
export function statusOf(error: unknown): Status {
  if (error instanceof GrpcError) return error
  return { code: Code.Unknown, message: error instanceof Error ? error.message : String(error) }
}
