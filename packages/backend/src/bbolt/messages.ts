// What the threads that export and import say to the one that started them, and hear from it.
import { BackendError, type BackendErrorReason } from '../error.ts'
import type { ImportProgress, Imported } from './import.ts'

/** An error on its way from one thread to another. */
export interface SentError {
  readonly reason: BackendErrorReason
  readonly message: string
  /** The system's name of the reason, such as `ENOSPC`. */
  readonly code?: string
}

export interface ExportTask {
  readonly path: string
}

/** From the exporting thread: in this order, a chunk for each that was asked for; an error ends it at any time. */
export type ExportMessage =
  | { readonly kind: 'pinned' }
  | { readonly kind: 'measured'; readonly sizeBytes: number }
  | { readonly kind: 'chunk'; readonly bytes: Uint8Array }
  | { readonly kind: 'end' }
  | { readonly kind: 'error'; readonly error: SentError }

/** To the exporting thread: so many chunks more, or that no more are wanted. */
export type ExportRequest = { readonly more: number } | 'close'

export interface ImportTask {
  readonly source: string
  readonly target: string
  /** Two words of 32 bits, at IS_STOPPED and IS_WRITING; 0 or 1. */
  readonly shared: SharedArrayBuffer
}

/** Place of the word that tells the importing thread to end. */
export const IS_STOPPED = 0
/** Place of the word that says that the importing thread is within a transaction. */
export const IS_WRITING = 1

/** From the importing thread. */
export type ImportMessage =
  | { readonly kind: 'progress'; readonly progress: ImportProgress }
  | { readonly kind: 'done'; readonly imported: Imported }
  | { readonly kind: 'error'; readonly error: SentError }

export function toSent(error: unknown): SentError {
  const message = error instanceof Error ? error.message : String(error)
  const reason = error instanceof BackendError ? error.reason : 'transferFailed'
  const code = error instanceof Error && 'code' in error ? { code: String(error.code) } : {}
  return { reason, message, ...code }
}

export function fromSent({ reason, message, code }: SentError): BackendError {
  const cause = code === undefined ? undefined : Object.assign(new Error(message), { code })
  return new BackendError(reason, message, { cause })
}
