/**
 * Why the backend cannot do what it was asked:
 * - `bboltFile`: the data file is one of etcd's own (bbolt); it has to be imported, not opened
 * - `foreignFile`: the data file was not written by LMDB, or by a version with another layout
 * - `damagedFile`: the data file was written by LMDB and is not whole
 * - `openFailed`: the data file could not be opened for another reason, which is the `cause`
 * - `keyTooLong`, `emptyKey`: a row that no implementation has to hold
 * - `writeFailed`: a commit failed; nothing after it will ever be durable, the member has to stop
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
