/**
 * Why the backend cannot do what it was asked:
 * - `bboltFile`: the data file is one of etcd's own (bbolt); it has to be imported, not opened
 * - `foreignFile`: the file is not of the expected format, or of another version of it
 * - `damagedFile`: the file is of the expected format and is not whole
 * - `openFailed`: the data file could not be opened for another reason, which is the `cause`
 * - `keyTooLong`, `emptyKey`: a row that no implementation has to hold
 * - `writeFailed`: a commit failed; nothing after it will ever be durable, the member has to stop
 * - `transferFailed`: an export or import could not be carried out for another reason, which is the `cause`
 * - `replaced`: other rows took the place of those that were asked for
 * - `closed`: the backend was closed
 */
export type BackendErrorReason =
  | 'bboltFile'
  | 'foreignFile'
  | 'damagedFile'
  | 'openFailed'
  | 'keyTooLong'
  | 'emptyKey'
  | 'writeFailed'
  | 'transferFailed'
  | 'replaced'
  | 'closed'

/** What went wrong with the data file or its rows. */
export class BackendError extends Error {
  override readonly name = 'BackendError'
  readonly reason: BackendErrorReason

  constructor(reason: BackendErrorReason, message: string, options?: ErrorOptions) {
    super(message, options)
    this.reason = reason
  }
}
