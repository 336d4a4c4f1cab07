import type { Socket } from 'node:net'
import type { Status } from './status.ts'

/** Request or response metadata: lower-case names; `-bin` names hold bytes, all others strings. */
export interface Metadata {
  /** First value of `name`, or undefined. */
  get(name: string): string | undefined
  /** First value of a `-bin` name, decoded. */
  getBinary(name: string): Uint8Array | undefined
  /** All pairs in the order received, without pseudo headers; binary values still in base64. */
  entries(): Iterable<readonly [name: string, value: string]>
}

/** Why a call ended before its service ended it. */
export type CancelReason = 'cancelled' | 'deadline' | 'disconnected'

/** What every call offers its service, whatever its kind and wherever it came from (gRPC, JSON gateway). */
export interface CallContext {
  /** `/package.Service/Method`. */
  readonly path: string
  readonly metadata: Metadata
  /** The connection's socket (remote address, TLS certificate); undefined for calls made inside the process. */
  readonly socket: Socket | undefined
  /** Milliseconds left until the caller's deadline, or undefined when it set none. */
  remainingMs(): number | undefined
  /** True once the call has ended for the client: answers are then dropped silently. */
  readonly ended: boolean
  /** Set by the service to learn, at most once, that the caller is gone or its deadline has passed. */
  onCancel: ((reason: CancelReason) => void) | undefined
  /** Adds response metadata; before the first message only. */
  setHeader(name: string, value: string): void
  /** Adds trailing metadata; before the end only. */
  setTrailer(name: string, value: string): void
}

/** A call with one answer (unary, or client-streaming once its requests have all arrived). */
export interface UnaryCall extends CallContext {
  /** Ends the call with `bytes[start, end)` as its answer. The bytes are copied or sent before this returns. */
  respond(bytes: Uint8Array, start?: number, end?: number): void
  /** Ends the call with an error. */
  fail(status: Status): void
}

/** A call that streams in at least one direction. */
export interface StreamCall extends CallContext {
  /** Set by the service; the message is a view that is valid until the function returns. */
  onMessage: ((message: Uint8Array) => void) | undefined
  /** The client has sent its last message. */
  onHalfClose: (() => void) | undefined
  /** The bytes accepted by `write` have drained below the low-water mark. */
  onDrain: (() => void) | undefined
  /** Stops (true) or restarts (false) delivery of messages; what arrives meanwhile is held back by flow control. */
  pause(paused: boolean): void
  /**
   * Sends one message; it is copied or sent before this returns.
   * @returns false when more than the high-water mark now waits for the client: stop until `onDrain`.
   */
  write(bytes: Uint8Array, start?: number, end?: number): boolean
  /** Bytes accepted by `write` that have not been handed to the socket yet. */
  readonly bufferedBytes: number
  /** Ends the call; without a status, with OK. */
  end(status?: Status): void
}

/** One method: how its requests arrive and who answers them. Thrown errors become status Unknown. */
export type Method =
  | {
      readonly kind: 'unary'
      /** `request` is a view that is valid until the function returns; the answer may come later. */
      handle(call: UnaryCall, request: Uint8Array): void
    }
  | { readonly kind: 'stream'; handle(call: StreamCall): void }

/** Methods by path (`/package.Service/Method`). */
export type ServiceTable = ReadonlyMap<string, Method>
